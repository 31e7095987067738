// The one place that writes to the terminal while a run goes on: lines, and below them at most one
// progress bar.
#pragma once
#include <mutex>
#include <ostream>
#include <string>
#include <string_view>

namespace noisette {

/// Lines go above the bar; the bar is redrawn in place. On something that is no terminal the bar
/// does nothing. Safe to call from several threads.
class Console {
 public:
  /// columns   width to draw in; 0 asks the terminal each time.
  Console(std::ostream& out, bool terminal, int columns = 0);

  void line(std::string_view text);
  void bar(std::string_view text);  // text must fit into columns()
  void end_bar();                   // leaves the bar as a line
  bool is_terminal() const { return terminal_; }
  int columns() const;

 private:
  std::mutex mutex_;
  std::ostream& out_;
  bool terminal_;
  int columns_;
  std::string bar_;
};

/// Standard error of this process. Results that a user may pipe on go to standard output, not
/// through here.
Console& console();

/// Number of character cells of UTF-8 text: counts code points, which is right for the characters
/// we draw.
int display_width(std::string_view text);

}  // namespace noisette
