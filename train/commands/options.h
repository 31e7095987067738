// Checks of command-line numbers. CLI11 puts the option's name before their messages.
#pragma once
#include <fmt/format.h>
#include <omp.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdint>

namespace noisette::commands {

/// A whole number from `least` on.
inline CLI::Validator at_least(int64_t least) {
  return CLI::Validator(
      [least](std::string& text) {
        int64_t value = 0;
        if (!CLI::detail::lexical_cast(text, value))
          return fmt::format("must be a whole number; got {}", text);
        return value >= least ? std::string()
                              : fmt::format("must be at least {}; got {}", least, text);
      },
      "");
}

/// A number in [low, high]; not a number is not in it.
inline CLI::Validator between(double low, double high) {
  return CLI::Validator(
      [low, high](std::string& text) {
        double value = 0;
        if (!CLI::detail::lexical_cast(text, value))
          return fmt::format("must be a number; got {}", text);
        return value >= low && value <= high
                   ? std::string()
                   : fmt::format("must be from {} to {}; got {}", low, high, text);
      },
      "");
}

/// More threads than any machine has cores end in the thread library without a word.
inline CLI::Option* add_threads(CLI::App* cmd, int64_t& threads) {
  return cmd->add_option("--threads", threads, "OpenMP threads; default: all cores")
      ->check(between(1, 1024));
}
inline void use_threads(int64_t threads) {
  if (threads > 0) omp_set_num_threads(int(threads));
}

}  // namespace noisette::commands
