#include "framework/report/chart.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "framework/report/ticks.h"

namespace noisette {
namespace {

std::string labels(const std::vector<Tick>& ticks) {
  std::string all;
  for (const Tick& t : ticks) all += (all.empty() ? "" : " ") + t.label;
  return all;
}

int count_of(const std::string& text, const std::string& part) {
  int n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

TEST(Ticks, LinearLabels) {
  EXPECT_EQ(labels(linear_ticks(0, 1, 6)), "0 0.2 0.4 0.6 0.8 1.0");
  EXPECT_EQ(labels(linear_ticks(0, 1000, 6)), "0 200 400 600 800 1000");
  EXPECT_EQ(labels(linear_ticks(1, 48000, 6)), "10k 20k 30k 40k");
  EXPECT_EQ(labels(linear_ticks(0, 800000, 6)), "0 200k 400k 600k 800k");
  EXPECT_EQ(labels(linear_ticks(0, 2.5e6, 6)), "0 0.5M 1.0M 1.5M 2.0M 2.5M");
  EXPECT_EQ(labels(linear_ticks(-0.3, 0.3, 4)), "-0.2 0 0.2");
  EXPECT_EQ(labels(linear_ticks(0, 2e-4, 5)), "0 0.5e-4 1.0e-4 1.5e-4 2.0e-4");
}

TEST(Ticks, LinearTicksAreInsideEvenAndFewForAnyRange) {
  for (double lo : {-17.3, 0.0, 1e-7, 0.3, 12345.6})
    for (double width : {1e-6, 0.017, 1.0, 7.7, 999.0, 3.2e7})
      for (int most : {3, 6, 10}) {
        const double slack = 1e-8 * width + 1e-15 * std::abs(lo);  // rounding of n * step
        const auto ticks = linear_ticks(lo, lo + width, most);
        ASSERT_GE(ticks.size(), 1u) << lo << " + " << width;
        EXPECT_LE(int(ticks.size()), most) << lo << " + " << width;
        for (const Tick& t : ticks) {
          EXPECT_GE(t.value, lo - slack);
          EXPECT_LE(t.value, lo + width + slack);
        }
        const auto [a, b] = enclosing_range(lo, lo + width, most);
        EXPECT_LE(a, lo + slack);
        EXPECT_GE(b, lo + width - slack);
      }
}

TEST(Ticks, LogarithmicLabels) {
  EXPECT_EQ(labels(log_ticks(0.02, 1, 8)), "0.02 0.05 0.1 0.2 0.5 1");
  EXPECT_EQ(labels(log_ticks(1e-6, 10, 8)), "1e-6 1e-5 1e-4 0.001 0.01 0.1 1 10");
  EXPECT_EQ(labels(log_ticks(1e-12, 10, 8)), "1e-12 1e-10 1e-8 1e-6 1e-4 0.01 1");
  EXPECT_EQ(labels(log_ticks(0.041, 0.058, 8)), "0.045 0.050 0.055") << "too narrow for 1, 2, 5";
}

Chart sample_chart() {
  Chart c{"Loss", "update", "mean", true, false, {}};
  c.series.push_back({"a", {1, 2, 3}, {1.0, 0.1, 0.01}});
  c.series.push_back({"b<", {1, 2, 3}, {1.0, 0.5, 0.25}});
  return c;
}

TEST(ChartHtml, HasTitleLegendLabelsAndOnePathASeries) {
  const std::string html = chart_html(sample_chart());
  EXPECT_EQ(count_of(html, "<path"), 2);
  EXPECT_NE(html.find("<figcaption>Loss<small>mean, logarithmic</small>"), std::string::npos);
  EXPECT_NE(html.find(">b&lt;</span>"), std::string::npos);
  EXPECT_NE(html.find(">update</text>"), std::string::npos);
  EXPECT_EQ(count_of(html, "<figure"), count_of(html, "</figure>"));
}

TEST(ChartHtml, LogarithmicHeightsAreEvenPerDecade) {
  const std::string html = chart_html(sample_chart());
  double x[3], y[3];
  const std::size_t at = html.find(" d=\"M");
  ASSERT_EQ(std::sscanf(html.c_str() + at, " d=\"M%lf %lfL%lf %lfL%lf %lf", x, y, x + 1, y + 1,
                        x + 2, y + 2),
            6);
  EXPECT_NEAR(y[1] - y[0], y[2] - y[1], 0.21);  // rounded to a tenth of a pixel
  EXPECT_NEAR(x[1] - x[0], x[2] - x[1], 0.21);
  EXPECT_GT(y[1], y[0]);
}

TEST(ChartHtml, LeavesGapsWhereAValueCannotBeShown) {
  Chart c = sample_chart();
  c.series.resize(1);
  c.series[0].x = {1, 2, 3, 4, 5};
  c.series[0].y = {1, 0.5, std::nan(""), 0.1, -1};
  const std::string html = chart_html(c);
  EXPECT_EQ(count_of(html.substr(html.find(" d=\"")), "M"), 2);
  EXPECT_EQ(html.find("nan"), std::string::npos);
  EXPECT_EQ(html.find("inf"), std::string::npos);
}

TEST(ChartHtml, ShowsNothingWithoutValuesAndASinglePointAsADot) {
  Chart c{"Loss", "update", "", true, false, {}};
  EXPECT_EQ(chart_html(c), "");
  c.series.push_back({"a", {1, 2}, {std::nan(""), 0.0}});
  EXPECT_EQ(chart_html(c), "");
  c.series[0].y = {0.3, 0.0};
  const std::string html = chart_html(c);
  EXPECT_EQ(count_of(html, "<circle"), 1);
  EXPECT_EQ(html.find("nan"), std::string::npos);
}

TEST(ChartHtml, ConstantSeriesAreDrawnInside) {
  for (double v : {0.0, 2e-4, -3.0, 1e9}) {
    Chart c{"lr", "update", "", false, true, {}};
    c.series.push_back({"", {1, 100}, {v, v}});
    const std::string html = chart_html(c);
    EXPECT_EQ(count_of(html, "<path"), 1) << v;
    EXPECT_EQ(html.find("nan"), std::string::npos) << v;
  }
}

TEST(ChartHtml, LongSeriesAreThinnedButKeepTheirExtremes) {
  Chart c{"Loss", "update", "", false, false, {}};
  Series s;
  for (int i = 0; i < 200000; ++i) {
    s.x.push_back(i);
    s.y.push_back(i == 123456 ? 50.0 : std::sin(i * 0.7));
  }
  c.series.push_back(s);
  const std::string html = chart_html(c);
  EXPECT_LT(html.size(), 60000u);
  double top = std::numeric_limits<double>::infinity();
  const std::string path = html.substr(html.find(" d=\"M"));
  for (std::size_t at = path.find_first_of("ML"); at != std::string::npos && path[at + 1] != '"';
       at = path.find_first_of("ML", at + 1)) {
    double x = 0, y = 0;
    if (std::sscanf(path.c_str() + at + 1, "%lf %lf", &x, &y) == 2) top = std::min(top, y);
  }
  EXPECT_LT(top, 60) << "the sine alone lies below 180";
}

}  // namespace
}  // namespace noisette
