#include "train/conv_forms.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "framework/ops/conv_observer.h"
#include "train/config.h"
#include "train/measure.h"
#include "train/measure_conv.h"

namespace noisette {
namespace {

using cpu::ConvCase;
using cpu::ConvForm;
using cpu::ConvMode;

/// Below this a call takes some tenths of a millisecond, and a clock says more of the machine's
/// other work than of the form.
constexpr double kWorthMeasuring = 5e7;  // floating-point operations
/// An exception is faster by this factor in the median, and faster in every pair.
constexpr double kMargin = 1.1;

/// The form that measures faster by a margin; what the rule says where neither does.
ConvForm measured_form(const ConvCase& c) {
  const ConvForm rule = cpu::form_by_rule(c);
  const auto contradicts = [&](int pairs) {
    const ConvTimes t = time_conv(c, pairs);
    return rule == ConvForm::winograd ? t.direct_always_faster && t.winograd > kMargin * t.direct
                                      : t.winograd_always_faster && t.direct > kMargin * t.winograd;
  };
  // Most cases agree with the rule at once; what does not is looked at more closely.
  if (!contradicts(1) || !contradicts(5)) return rule;
  return rule == ConvForm::winograd ? ConvForm::direct : ConvForm::winograd;
}

}  // namespace

std::string write_conv_form(const ConvChosen& chosen) {
  const auto& [c, form] = chosen;
  const ConvDims& d = c.dims;
  return fmt::format("{} {} {} {}x{}x{} {}->{} {}x{} pad {},{},{},{}",
                     kFormNames[std::size_t(form)], kPassNames[std::size_t(c.pass)],
                     c.bf16 ? "bf16" : "f32", d.batch, d.in_h, d.in_w, d.in_c, d.out_c, d.kernel_h,
                     d.kernel_w, d.pad_top, d.pad_left, d.pad_bottom, d.pad_right);
}

std::optional<ConvChosen> read_conv_form(const std::string& text) {
  char form[16], pass[16], dtype[8];
  ConvChosen chosen;
  ConvDims& d = chosen.first.dims;
  using Number = long long;
  std::array<Number, 11> n{};
  const int read = std::sscanf(
      text.c_str(), "%15s %15s %7s %lldx%lldx%lld %lld->%lld %lldx%lld pad %lld,%lld,%lld,%lld",
      form, pass, dtype, &n[0], &n[1], &n[2], &n[3], &n[4], &n[5], &n[6], &n[7], &n[8], &n[9],
      &n[10]);
  constexpr int kAll = 14;
  if (read != kAll) return {};
  d = {n[0], n[1], n[2], n[3], n[4], n[5], n[6], 1, n[7], n[8], n[9], n[10]};
  const auto index_in = [](const auto& names, std::string_view name) {
    return std::find(names.begin(), names.end(), name) - names.begin();
  };
  chosen.second = ConvForm(index_in(kFormNames, form));
  chosen.first.pass = ConvPass(index_in(kPassNames, pass));
  chosen.first.bf16 = std::string_view(dtype) == "bf16";
  const bool known = index_in(kFormNames, form) < 2 && index_in(kPassNames, pass) < 3;
  if (!known || write_conv_form(chosen) != text) return {};
  return chosen;
}

void measure_conv_forms(TrainConfig& config) {
  if (config.run.conv != Conv::automatic || !config.run.conv_forms.empty()) return;
  if (!config.run.device().is_cpu()) return;
  config.run.conv_forms.emplace_back(kByRule);
  if (config.run.deterministic) return;
  const ConvObserver observer;
  plan_step(config);
  for (const ConvCase& c : observer.cases()) {
    if (!cpu::has_forms(c) || c.dims.flops() < kWorthMeasuring) continue;
    const ConvForm form = measured_form(c);
    if (form != cpu::form_by_rule(c)) config.run.conv_forms.push_back(write_conv_form({c, form}));
  }
}

void use_conv_forms(const TrainConfig& config) {
  cpu::ConvChoice choice;
  choice.mode = config.run.conv == Conv::direct     ? ConvMode::direct
                : config.run.conv == Conv::winograd ? ConvMode::winograd
                                                    : ConvMode::automatic;
  for (const std::string& text : config.run.conv_forms)
    if (const auto chosen = read_conv_form(text)) choice.exceptions.push_back(*chosen);
  cpu::choose_conv_forms(std::move(choice));
}

}  // namespace noisette
