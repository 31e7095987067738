// The choice between the direct and the Winograd form of a run's convolutions (run.conv and
// run.conv_forms; kernels/cpu/conv_form.h).
#pragma once
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "kernels/cpu/conv_form.h"

namespace noisette {

struct TrainConfig;

inline constexpr std::string_view kByRule = "rule";
inline constexpr std::array<std::string_view, 3> kPassNames = {"forward", "backward_data",
                                                               "backward_weight"};
inline constexpr std::array<std::string_view, 2> kFormNames = {"direct", "winograd"};

/// A case and its form as text, as in "direct backward_data f32 16x8x8 512->256 3x3 pad 1,1,1,1"
/// (batch x height x width of the input, channels, kernel, padding at top, left, bottom, right).
using ConvChosen = std::pair<cpu::ConvCase, cpu::ConvForm>;
std::string write_conv_form(const ConvChosen& chosen);
/// None for any other text.
std::optional<ConvChosen> read_conv_form(const std::string& text);

/// Where auto is to measure (run.conv_forms is empty): times both forms of each large enough
/// convolution of a training step, in turns, and fills run.conv_forms with "rule" and what measured
/// otherwise by a margin. Takes seconds; small convolutions are left to the rule, so that small
/// runs never depend on a clock, and all of them in a deterministic run.
void measure_conv_forms(TrainConfig& config);

/// Makes the choice of `config` that of the process.
void use_conv_forms(const TrainConfig& config);

}  // namespace noisette
