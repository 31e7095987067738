#include <cerrno>
#include <cstdio>
#include <cstring>

#include "framework/core/check.h"
#include "train/commands/commands.h"

namespace noisette::commands {

void print(const std::string& text) {
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() &&
                       std::fputc('\n', stdout) != EOF && std::fflush(stdout) == 0;
  check_user(written, "[output] standard output cannot be written: {}", std::strerror(errno));
}

}  // namespace noisette::commands
