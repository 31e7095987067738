#include "framework/report/metrics.h"

#include <gtest/gtest.h>

#include "framework/core/check.h"
#include "tests/report/temp_folder.h"

namespace noisette {
namespace {

using test::read_file;
using test::TempFolder;
using test::write_file;

Metrics record(int64_t update) {
  Metrics m;
  m.update = update;
  m.loss = 1.0 / double(update + 1);
  m.lr = 2e-4;
  return m;
}

std::vector<int64_t> updates(const std::vector<Metrics>& records) {
  std::vector<int64_t> u;
  for (const Metrics& m : records) u.push_back(m.update);
  return u;
}

TEST(Metrics, EveryFieldSurvivesTheFile) {
  Metrics m = record(7);
  m.loss_ema = 0.1234567890123456789;
  m.grad_norm = 3e-9;
  m.images_per_second = 412.5;
  m.data_wait = 0.25;
  m.time = 1e6;
  m.bands = {0.5, 0.25, 1e-3};
  m.extra["eval_loss"] = 0.0712;
  const Metrics r = metrics_from_json(to_json(m));
  EXPECT_EQ(r.update, 7);
  EXPECT_EQ(r.loss, m.loss);
  EXPECT_EQ(r.loss_ema, m.loss_ema);
  EXPECT_EQ(r.lr, m.lr);
  EXPECT_EQ(r.grad_norm, m.grad_norm);
  EXPECT_EQ(r.images_per_second, m.images_per_second);
  EXPECT_EQ(r.data_wait, m.data_wait);
  EXPECT_EQ(r.time, m.time);
  EXPECT_EQ(r.bands, m.bands);
  EXPECT_EQ(r.extra, m.extra);
}

TEST(Metrics, ValuesThatAreNotFiniteStillMakeValidJson) {
  Metrics m = record(3);
  m.loss = Metrics::kUnset;
  m.grad_norm = std::numeric_limits<double>::infinity();
  m.bands = {0.5, Metrics::kUnset};
  EXPECT_EQ(to_json(m),
            R"({"update":3,"loss":null,"lr":0.0002,"grad_norm":null,"bands":[0.5,null]})");
  const Metrics r = metrics_from_json(to_json(m));
  EXPECT_TRUE(std::isnan(r.loss));
  EXPECT_TRUE(std::isnan(r.grad_norm));
  EXPECT_TRUE(std::isnan(r.bands.at(1)));
}

TEST(Metrics, RefusesWhatIsNoRecord) {
  for (const char* bad :
       {"", "[1]", "{", R"({"loss":1})", R"({"update":1.5})", R"({"update":"1"})"})
    EXPECT_THROW(metrics_from_json(bad), Error) << bad;
}

TEST(MetricsWriter, EachRecordIsOnDiskAtOnce) {
  const TempFolder folder;
  MetricsWriter writer(folder / "metrics.jsonl", 0);
  for (int64_t u = 1; u <= 3; ++u) {
    writer.write(record(u));
    EXPECT_EQ(read_metrics(folder / "metrics.jsonl").size(), std::size_t(u));
  }
}

TEST(MetricsWriter, ResumingLeavesNoDuplicates) {
  const TempFolder folder;
  const auto path = folder / "metrics.jsonl";
  {
    MetricsWriter writer(path, 0);
    for (int64_t u = 10; u <= 50; u += 10) writer.write(record(u));
  }
  const std::string before = read_file(path);
  MetricsWriter resumed(path, 35);  // the checkpoint is older than the last records
  resumed.write(record(40));
  EXPECT_EQ(updates(read_metrics(path)), (std::vector<int64_t>{10, 20, 30, 40}));
  EXPECT_EQ(read_file(path), before.substr(0, before.find("{\"update\":50")));
  EXPECT_FALSE(std::filesystem::exists(folder / "metrics.jsonl.partial"));
}

TEST(MetricsWriter, ResumingRemovesWhatACrashLeft) {
  const TempFolder folder;
  const auto path = folder / "metrics.jsonl";
  const std::string good = to_json(record(1)) + "\n";
  write_file(path, good + std::string("\0\0\0\n", 4) + to_json(record(2)).substr(0, 12));
  MetricsWriter(path, 5).write(record(2));
  EXPECT_EQ(read_file(path), good + to_json(record(2)) + "\n");
}

TEST(MetricsWriter, ANewRunStartsAnEmptyFile) {
  const TempFolder folder;
  const auto path = folder / "metrics.jsonl";
  MetricsWriter(path, 0).write(record(9));
  MetricsWriter(path, 0).write(record(1));
  EXPECT_EQ(updates(read_metrics(path)), std::vector<int64_t>{1});
}

TEST(MetricsWriter, NamesAPathItCannotWrite) {
  const TempFolder folder;
  try {
    MetricsWriter(folder / "absent/metrics.jsonl", 0);
    FAIL() << "no error";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("absent/metrics.jsonl"), std::string::npos) << e.what();
  }
}

TEST(MetricsWriter, AFullDiskIsAnError) {
  MetricsWriter writer("/dev/full", 0);
  EXPECT_THROW(writer.write(record(1)), Error);
}

TEST(ReadMetrics, LeavesOutALineStillBeingWrittenAndNamesADamagedOne) {
  const TempFolder folder;
  const auto path = folder / "metrics.jsonl";
  write_file(path, to_json(record(1)) + "\n" + to_json(record(2)));
  EXPECT_EQ(updates(read_metrics(path)), std::vector<int64_t>{1});
  write_file(path, to_json(record(1)) + "\n{broken\n");
  try {
    read_metrics(path);
    FAIL() << "no error";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("metrics.jsonl:2"), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace noisette
