#include "framework/report/progress.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "framework/core/check.h"
#include "framework/report/table.h"

namespace noisette {
namespace {

Metrics sample_metrics(int64_t update) {
  Metrics m;
  m.update = update;
  m.loss = 0.05;
  m.loss_ema = 0.0453;
  m.lr = 2e-4;
  m.grad_norm = 0.612;
  m.images_per_second = 412.3;
  return m;
}

int count_lines(const std::string& s) { return int(std::count(s.begin(), s.end(), '\n')); }

TEST(Format, Duration) {
  EXPECT_EQ(format_duration(0), "0 s");
  EXPECT_EQ(format_duration(59.4), "59 s");
  EXPECT_EQ(format_duration(59.6), "1:00");
  EXPECT_EQ(format_duration(3599.7), "1:00:00");
  EXPECT_EQ(format_duration(3723), "1:02:03");
  EXPECT_EQ(format_duration(Metrics::kUnset), "-");
}

TEST(Format, Value) {
  EXPECT_EQ(format_value(0), "0");
  EXPECT_EQ(format_value(0.0453), "0.0453");
  EXPECT_EQ(format_value(-12.345), "-12.3");
  EXPECT_EQ(format_value(412.3), "412");
  EXPECT_EQ(format_value(2e-4), "2e-04");
  EXPECT_EQ(format_value(1.25e7), "1.25e+07");
  EXPECT_EQ(format_value(Metrics::kUnset), "-");
  EXPECT_EQ(format_value(-INFINITY), "-inf");
}

TEST(Format, CountAndBytes) {
  EXPECT_EQ(format_count(7), "7");
  EXPECT_EQ(format_count(-123), "-123");
  EXPECT_EQ(format_count(-1234), "-1,234");
  EXPECT_EQ(format_count(35746307), "35,746,307");
  EXPECT_EQ(format_bytes(512), "512 B");
  EXPECT_EQ(format_bytes(1.5 * 1024), "1.50 KiB");
  EXPECT_EQ(format_bytes(24.0 * (1ll << 30)), "24.0 GiB");
}

TEST(Table, AlignsNumbersRightAndTextLeft) {
  Table t({"block", "parameters"});
  t.row({"down", "148,480"}).row({"mid·2", "1"}).rule().row({"all", "148,481"});
  EXPECT_EQ(t.str(),
            "block  parameters\n"
            "─────  ──────────\n"
            "down      148,480\n"
            "mid·2           1\n"
            "─────  ──────────\n"
            "all       148,481");
  EXPECT_THROW(t.row({"one"}), Error);
}

TEST(ProgressBar, ShowsEverythingWhenThereIsRoom) {
  const ProgressState s{1200, 5000, 192, sample_metrics(1200)};
  const std::string bar = progress_bar(s, 120);
  for (const char* part : {"1200/5000", " 24%", "loss 0.0453", "left 3:12", "412 img/s", "lr 2e-04",
                           "grad 0.612", "█"})
    EXPECT_NE(bar.find(part), std::string::npos) << part << " in " << bar;
}

TEST(ProgressBar, GivesUpCellsBeforeFigures) {
  Metrics m = sample_metrics(1200);
  m.lr = 1.05e-4;
  const std::string bar = progress_bar({1200, 5000, 192, m}, 80);
  for (const char* part : {"1200/5000 █", "loss 0.0453", "left 3:12", "lr 1.05e-04", "grad 0.612"})
    EXPECT_NE(bar.find(part), std::string::npos) << part << " in " << bar;
}

TEST(ProgressBar, NeverIsWiderThanTheTerminal) {
  for (int columns = 24; columns < 140; ++columns)
    for (int64_t update : {0, 1, 777, 4999, 5000}) {
      const ProgressState s{update, 5000, 12345, sample_metrics(update)};
      EXPECT_LT(display_width(progress_bar(s, columns)), columns) << update;
    }
}

TEST(Progress, WritesFewPlainLinesAndAlwaysTheLast) {
  std::ostringstream out;
  Console console(out, /*terminal=*/false);
  Progress progress(console, 0, 3600);
  for (int64_t u = 1; u <= 3600; ++u) progress.update(sample_metrics(u), double(u));
  progress.finish();
  const std::string text = out.str();
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_GT(count_lines(text), 55);
  EXPECT_LT(count_lines(text), 75);
  EXPECT_NE(text.find("update 3600/3600 (100%)"), std::string::npos);
  EXPECT_NE(text.find("left 59:"), std::string::npos) << text.substr(0, 200);
}

TEST(Progress, RemainingTimeOfAResumedRunCountsItsOwnPace) {
  std::ostringstream out;
  Console console(out, false);
  Progress progress(console, 900, 1000);
  for (int64_t u = 901; u <= 950; ++u) progress.update(sample_metrics(u), double(u - 900) * 2);
  EXPECT_NE(out.str().find("update 903/1000 (90%)  loss 0.0453  left 3:14"), std::string::npos)
      << out.str();
}

TEST(Progress, LinesGoAboveTheBar) {
  std::ostringstream out;
  Console console(out, /*terminal=*/true, 60);
  Progress progress(console, 0, 10);
  progress.update(sample_metrics(1), 0.0);
  const std::string bar = out.str();
  progress.update(sample_metrics(2), 0.05);  // too soon to redraw
  EXPECT_EQ(out.str(), bar);
  out.str("");
  console.line("saved");
  EXPECT_EQ(out.str().substr(0, 11), "\r\x1b[2Ksaved\n");
  EXPECT_NE(out.str().find("1/10"), std::string::npos);
  progress.finish();
  EXPECT_EQ(out.str().back(), '\n');
}

TEST(CountProgress, WritesPlainLinesAfterFiveSecondsAndABarAtOnce) {
  std::ostringstream lines, bar;
  Console file(lines, /*terminal=*/false), terminal(bar, /*terminal=*/true, 60);
  CountProgress plain(file, "sampling, step"), drawn(terminal, "sampling, step");
  for (int step = 1; step <= 4; ++step) plain.update(step, 400, step);
  EXPECT_EQ(lines.str(), "");
  for (int step = 5; step <= 400; ++step) plain.update(step, 400, step);
  EXPECT_TRUE(lines.str().starts_with("sampling, step 5 of 400 (1%)  left 6:35\n")) << lines.str();
  EXPECT_LE(count_lines(lines.str()), 12);
  drawn.update(0, 400, 0);
  EXPECT_EQ(bar.str(), "\r\x1b[2Ksampling, step 0 of 400 (0%)");
}

}  // namespace
}  // namespace noisette
