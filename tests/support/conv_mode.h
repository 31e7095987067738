// NOISETTE_TEST_CONV=winograd or direct runs the tests of a program with one form of convolutions
// wherever there is a choice (kernels/cpu/conv_form.h); tests/CMakeLists.txt runs them all ways.
#pragma once
#include <cstdlib>
#include <string_view>

#include "kernels/cpu/conv_form.h"

namespace noisette::testing_support {

inline const bool kConvModeIsSet = [] {
  const char* text = std::getenv("NOISETTE_TEST_CONV");
  const std::string_view mode = text != nullptr ? text : "";
  if (mode == "winograd") cpu::choose_conv_forms({.mode = cpu::ConvMode::winograd});
  if (mode == "direct") cpu::choose_conv_forms({.mode = cpu::ConvMode::direct});
  return !mode.empty();
}();

}  // namespace noisette::testing_support
