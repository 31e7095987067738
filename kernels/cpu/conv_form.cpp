#include "kernels/cpu/conv_form.h"

#include "kernels/cpu/conv_narrow.h"
#include "kernels/cpu/onednn.h"
#include "kernels/cpu/winograd.h"

namespace noisette::cpu {
namespace {

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

ConvForm form_by_rule(const ConvCase& c, bool filters_kept) {
  if (!winograd_pays(c.pass, c.dims, filters_kept)) return ConvForm::direct;
  if (c.bf16 && onednn::has_conv<bfloat16>(c.pass, c.dims)) return ConvForm::direct;
  return ConvForm::winograd;
}

void choose_conv_forms(ConvChoice choice) { chosen() = std::move(choice); }
const ConvChoice& conv_choice() { return chosen(); }

ConvForm conv_form(const ConvCase& c, bool filters_kept) {
  const ConvChoice& choice = chosen();
  if (choice.mode == ConvMode::direct || !has_forms(c)) return ConvForm::direct;
  if (choice.mode == ConvMode::winograd) return ConvForm::winograd;
  for (const auto& [exception, form] : choice.exceptions)
    if (exception == c) return form;
  return form_by_rule(c, filters_kept);
}

}  // namespace noisette::cpu
