#include "framework/report/html_report.h"

#include <gtest/gtest.h>

#include "framework/core/check.h"
#include "framework/report/html.h"
#include "tests/report/temp_folder.h"

namespace noisette {
namespace {

using test::png_head;
using test::TempFolder;
using test::write_file;

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

RunReport sample_run(const std::string& name) {
  RunReport run;
  run.name = name;
  for (int64_t u = 10; u <= 1000; u += 10) {
    Metrics m;
    m.update = u;
    m.loss = 1.0 / double(u);
    m.images_per_second = 400;
    m.data_wait = 0.02;
    m.time = double(u) * 0.1;
    if (u % 100 == 0) m.bands = {0.4, 0.2, 0.1};
    run.metrics.push_back(m);
  }
  run.config = {{"seed", "1", "0", "", "of all draws"},
                {"optimizer.learning_rate", "0.0002", "0.0002", "", "step size"}};
  run.samples = {{100, png_head(8, 8, 0)}, {200, png_head(8, 8, 0)}};
  run.grid = png_head(16, 16, 0);
  run.machine = {{"processor", "<script>alert(1)</script>"}};
  return run;
}

TEST(HtmlEscape, TextAndAttributes) {
  EXPECT_EQ(html_escape("a<b>&\"c'"), "a&lt;b&gt;&amp;&quot;c&#39;");
  EXPECT_EQ(html_escape("é≠😀\n"), "é≠😀\n");
  EXPECT_EQ(html_escape(std::string("\0\x1b", 2)), "\xef\xbf\xbd\xef\xbf\xbd");
}

TEST(HtmlEscape, BytesThatAreNotUtf8) {
  const std::string r = "\xef\xbf\xbd";
  EXPECT_EQ(html_escape("\xff<"), r + "&lt;");
  EXPECT_EQ(html_escape("\xc0\xaf"), r + r) << "overlong slash";
  EXPECT_EQ(html_escape("\xed\xa0\x80"), r + r + r) << "surrogate";
  EXPECT_EQ(html_escape("\xe2\x82"), r + r) << "cut short";
  EXPECT_EQ(html_escape("\xf4\x90\x80\x80"), r + r + r + r) << "past U+10FFFF";
}

TEST(Base64, KnownAnswers) {  // RFC 4648, section 10
  const char* expected[] = {"", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
  for (std::size_t n = 0; n <= 6; ++n)
    EXPECT_EQ(base64(std::string("foobar").substr(0, n)), expected[n]);
  EXPECT_EQ(base64("\xff\xfe\xfd"), "//79");
}

TEST(Smoothed, IsUnbiasedAndPassesOverGaps) {
  const double nan = Metrics::kUnset;
  const auto flat = smoothed({3, 3, nan, 3}, 2);
  EXPECT_DOUBLE_EQ(flat[0], 3);
  EXPECT_DOUBLE_EQ(flat[3], 3);
  EXPECT_TRUE(std::isnan(flat[2]));
  std::vector<double> step(1000, 0.0);
  step.resize(1020, 1.0);
  EXPECT_NEAR(smoothed(step, 20).back(), 0.5, 1e-9) << "half the way after one half-life";
}

TEST(FinalBands, AveragesTheLastTenth) {
  RunReport run = sample_run("a");
  run.metrics.back().bands = {0.2, 0.2, Metrics::kUnset};  // update 1000; 900 has the usual values
  const auto bands = final_bands(run.metrics);
  ASSERT_EQ(bands.size(), 3u);
  EXPECT_DOUBLE_EQ(bands[0], 0.3);
  EXPECT_DOUBLE_EQ(bands[2], 0.1);
  EXPECT_TRUE(final_bands({}).empty());
}

TEST(LoadRun, ReadsAFolder) {
  const TempFolder folder;
  const auto run_folder = folder / "first run";
  write_file(run_folder / "metrics.jsonl", "{\"update\":5,\"loss\":0.5}\n");
  write_file(run_folder / "previews/update-000100.png", png_head(8, 8, 0));
  write_file(run_folder / "previews/update-000020.png", png_head(4, 4, 0));
  write_file(run_folder / "previews/notes.txt", "x");
  RunReport written = sample_run("x");
  written.timesteps = 500;
  written.grid_caption = "one class a row";
  written.timings = {{"build", "40 s"}, {"a later name first", "1 s"}};
  write_file(run_folder / "summary.json", summary_json(written));
  const RunReport run = load_run(run_folder);
  EXPECT_EQ(run.name, "first run");
  ASSERT_EQ(run.metrics.size(), 1u);
  ASSERT_EQ(run.samples.size(), 2u);
  EXPECT_EQ(run.samples[0].first, 20);
  EXPECT_EQ(run.samples[1].second, png_head(8, 8, 0));
  EXPECT_EQ(run.machine, written.machine);
  EXPECT_EQ(run.timings, written.timings);
  EXPECT_EQ(run.timesteps, 500);
  EXPECT_EQ(run.grid_caption, "one class a row");
  EXPECT_TRUE(run.grid.empty());
}

TEST(LoadRun, SaysWhatIsMissing) {
  const TempFolder folder;
  EXPECT_THROW(load_run(folder / "absent"), Error);
  EXPECT_THROW(load_run(folder.path()), Error) << "no metrics.jsonl";
  write_file(folder / "metrics.jsonl", "");
  write_file(folder / "summary.json", "[");
  EXPECT_THROW(load_run(folder.path()), Error) << "no JSON";
}

struct Inner {
  double rate = 0.5;
  void fields(config::Fields& f) { f.add("rate", rate, {.unit = "updates", .doc = "how fast"}); }
};
struct Outer {
  int64_t seed = 0;
  Inner inner;
  void fields(config::Fields& f) {
    f.add("seed", seed, {.doc = "of all draws"});
    f.table("inner", inner);
  }
};

TEST(SettingsOf, PutsEachValueBesideItsDefault) {
  Outer used, defaults;
  used.inner.rate = 0.25;
  const auto settings =
      settings_of(config::Fields::table_of(used), config::Fields::table_of(defaults));
  ASSERT_EQ(settings.size(), 2u);
  EXPECT_EQ(settings[0].key, "seed");
  EXPECT_EQ(settings[0].value, settings[0].standard);
  EXPECT_EQ(settings[1].key, "inner.rate");
  EXPECT_EQ(settings[1].value, "0.25");
  EXPECT_EQ(settings[1].standard, "0.5");
  EXPECT_EQ(settings[1].unit, "updates");
  EXPECT_EQ(settings[1].doc, "how fast");
}

TEST(HtmlReport, IsSelfContainedAndEscaped) {
  const RunReport run = sample_run("a & b");
  const std::string html = html_report({&run, 1});
  for (const char* part :
       {"<title>a &amp; b</title>", ">Loss<", "Loss by timestep at the end", "During training",
        "update 200", "[optimizer]", "1 of 2 keys differ", "data:image/png;base64,",
        "&lt;script&gt;alert(1)", "2.0 %", "prefers-color-scheme: dark"})
    EXPECT_TRUE(contains(html, part)) << part;
  for (const char* part : {"http:", "https:", "<script", "<link", "@import", "url(", "nan"})
    EXPECT_FALSE(contains(html, part)) << part;
}

TEST(HtmlReport, MarksWhatDiffersFromTheDefault) {
  const RunReport run = sample_run("a");
  const std::string html = html_report({&run, 1});
  EXPECT_TRUE(contains(html, "seed</td><td class=\"changed\">1</td><td>0</td>"));
  EXPECT_TRUE(contains(html, "learning_rate</td><td>0.0002</td><td>0.0002</td>"));
}

TEST(HtmlReport, SpeedIsAllImagesOverAllSeconds) {
  RunReport run = sample_run("a");
  for (Metrics& m : run.metrics)  // half of the updates take three quarters of the time
    m.images_per_second = m.update <= 500 ? 300 : 100, m.data_wait = m.update <= 500 ? 0 : 0.4;
  const std::string html = html_report({&run, 1});
  EXPECT_TRUE(contains(html, "<b>150</b><span>images per second</span>"));
  EXPECT_TRUE(contains(html, "<b>30.0 %</b><span>waiting for data</span>"));
}

TEST(HtmlReport, BothValuesOfASettingHaveItsUnit) {
  RunReport run = sample_run("a");
  run.config = {{"run.updates", "1900", "800000", "updates", ""}};
  EXPECT_TRUE(contains(html_report({&run, 1}), ">1900 updates</td><td>800000 updates</td>"));
  run.config = {{"model.attention_head_dim", "\"none\"", "8", "channels", ""}};
  EXPECT_TRUE(contains(html_report({&run, 1}), ">&quot;none&quot;</td><td>8 channels</td>"));
}

TEST(HtmlReport, PutsRunsSideBySide) {
  RunReport runs[] = {sample_run("first"), sample_run("second")};
  runs[1].config[0].value = "0";
  runs[1].config.push_back({"optimizer.beta1", "0.9", "0.9", "", ""});
  const std::string html = html_report(runs);
  EXPECT_TRUE(contains(html, "2 runs compared"));
  EXPECT_TRUE(contains(html, "<th>first</th><th>second</th><th>default</th>"));
  EXPECT_TRUE(contains(html,
                       "<tr class=\"differs\"><td title=\"of all draws\">seed</td>"
                       "<td class=\"changed\">1</td><td>0</td><td>0</td>"));
  EXPECT_TRUE(contains(html, "beta1</td><td>–</td><td>0.9</td>")) << "a key that one run lacks";
}

TEST(HtmlReport, AnEmptyRunStillMakesAPage) {
  RunReport run;
  run.name = "empty";
  const std::string html = html_report({&run, 1});
  EXPECT_TRUE(contains(html, "</html>"));
  EXPECT_FALSE(contains(html, "<h2>"));
  EXPECT_THROW(html_report({}), Error);
}

}  // namespace
}  // namespace noisette
