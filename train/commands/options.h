// Checks of command-line numbers. CLI11 puts the option's name before their messages.
#pragma once
#include <fmt/format.h>
#include <omp.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <type_traits>

#include "framework/core/device.h"

namespace noisette::commands {

/// A number in [low, high], whole when the ends are; not a number is not in it.
template <class T>
CLI::Validator between(T low, T high) {
  using Number = std::conditional_t<std::is_integral_v<T>, int64_t, double>;
  return CLI::Validator(
      [low, high](std::string& text) {
        Number value = 0;
        const bool number = CLI::detail::lexical_cast(text, value);
        if (number && value >= Number(low) && value <= Number(high)) return std::string();
        const char* kind = !std::is_integral_v<T> ? "a number " : number ? "" : "a whole number, ";
        return fmt::format("must be {}from {} to {}; got {}", kind, low, high, text);
      },
      "");
}

/// A whole number from `least` on.
inline CLI::Validator at_least(int64_t least) {
  return CLI::Validator(
      [least](std::string& text) {
        int64_t value = 0;
        const bool number = CLI::detail::lexical_cast(text, value);
        if (number && value >= least) return std::string();
        return fmt::format("must be {}at least {}; got {}", number ? "" : "a whole number, ", least,
                           text);
      },
      "");
}

/// More threads than any machine has cores end in the thread library without a word.
inline CLI::Option* add_threads(CLI::App* cmd, int64_t& threads) {
  return cmd->add_option("--threads", threads, "OpenMP threads; default: all cores")
      ->check(between(1, 1024));
}
/// Of a device by name; the text says what there is.
inline CLI::Option* add_device(CLI::App* cmd, std::string& device, const std::string& otherwise) {
  return cmd
      ->add_option("--device", device,
                   fmt::format("cpu, cuda or, of several cards, cuda:1; default: {}", otherwise))
      ->check(CLI::Validator(
          [](std::string& text) {
            return parse_device(text)
                       ? std::string()
                       : fmt::format("must be cpu, cuda, cuda:0, cuda:1 and so on; got {}", text);
          },
          ""));
}
inline void use_threads(int64_t threads) {
  if (threads > 0) omp_set_num_threads(int(threads));
}

}  // namespace noisette::commands
