#include "framework/report/console.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>

namespace noisette {
namespace {

constexpr std::string_view kClearLine = "\r\x1b[2K";

bool is_dumb_terminal() {
  const char* term = std::getenv("TERM");
  return term == nullptr || std::string_view(term) == "dumb";
}

}  // namespace

Console::Console(std::ostream& out, bool terminal, int columns)
    : out_(out), terminal_(terminal), columns_(columns) {}

int Console::columns() const {
  if (columns_ > 0) return columns_;
  winsize size{};
  const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 80;
}

void Console::line(std::string_view text) {
  const std::lock_guard lock(mutex_);
  if (!bar_.empty()) out_ << kClearLine;
  out_ << text << '\n' << bar_ << std::flush;
}

void Console::bar(std::string_view text) {
  const std::lock_guard lock(mutex_);
  if (!terminal_) return;
  bar_ = text;
  out_ << kClearLine << bar_ << std::flush;
}

void Console::end_bar() {
  const std::lock_guard lock(mutex_);
  if (bar_.empty()) return;
  out_ << '\n' << std::flush;
  bar_.clear();
}

Console& console() {
  static Console instance(std::cerr, isatty(STDERR_FILENO) != 0 && !is_dumb_terminal());
  return instance;
}

int display_width(std::string_view text) {
  int width = 0;
  for (char c : text) width += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  return width;
}

}  // namespace noisette
