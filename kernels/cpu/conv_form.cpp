#include "kernels/cpu/conv_form.h"

#include "kernels/cpu/conv_narrow.h"
#include "kernels/cpu/onednn.h"
#include "kernels/cpu/winograd.h"

namespace noisette::cpu {
namespace {

/// How fast the direct form is in bf16 where the CPU has dot products of bf16 but no tiles of them
/// (AMX), over f32: 1.5 to 1.9 on Zen 4, 0.6 on an Intel CPU with AMX left out (docs/winograd.md).
constexpr double kBf16Rate = 1.4;

ConvChoice& chosen() {
  static ConvChoice choice;
  return choice;
}

}  // namespace

bool has_forms(const ConvCase& c) {
  const bool narrow =
      c.pass == ConvPass::backward_data ? is_narrow_backward(c.dims) : is_narrow(c.dims);
  return winograd_takes(c.dims) && !narrow;
}

ConvForm form_by_rule(const ConvCase& c) {
  double direct_rate = 1;
  if (c.bf16 && onednn::has_conv<bfloat16>(c.pass, c.dims)) {
    if (onednn::has_bf16_tiles()) return ConvForm::direct;
    direct_rate = kBf16Rate;
  }
  return winograd_pays(c.pass, c.dims, direct_rate) ? ConvForm::winograd : ConvForm::direct;
}

void choose_conv_forms(ConvChoice choice) { chosen() = std::move(choice); }
const ConvChoice& conv_choice() { return chosen(); }

ConvForm conv_form(const ConvCase& c) {
  const ConvChoice& choice = chosen();
  if (choice.mode == ConvMode::direct || !has_forms(c)) return ConvForm::direct;
  if (choice.mode == ConvMode::winograd) return ConvForm::winograd;
  for (const auto& [exception, form] : choice.exceptions)
    if (exception == c) return form;
  return form_by_rule(c);
}

}  // namespace noisette::cpu
