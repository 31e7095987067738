// noisette report: everything a run folder knows is on the page; damaged folders are one sentence.
#include "framework/io/image.h"
#include "tests/train/small_run.h"
#include "train/eval_record.h"
#include "train/summary.h"

namespace noisette {
namespace {

using namespace test;
namespace fs = std::filesystem;

TEST(Report, ShowsAllOfOneRun) {
  const Folder folder;
  const fs::path run = make_run(folder / "clothes", folder / "set.h5");
  write_summary(run, small_config(folder / "set.h5"), 0.5, 20);
  write_eval_record(run,
                    {{"nll", {{"bits_per_dim", 3.21}, {"standard_error", 0.04}, {"images", 512}}},
                     {"bands", {{"loss", 0.3}, {"bands", {0.5, 0.1}}}},
                     {"knn", {{"share", 0.825}, {"neighbours", 5}}}});
  fs::create_directories(run / "previews");
  write_png(run / "previews" / "update-00000005.png", Image(4, 4, 1, 9));
  write_png(run / "grid.png", Image(8, 4, 1, 200), {{"sampler", "ddim"}, {"steps", "50"}});
  EXPECT_CONTAINS(run_command({"report", run.string()}), "report.html");
  const std::string html = get(run / "report.html");
  for (const char* part : {"clothes", "3.210 ± 0.040 on 512 images", "82.5 %", "held-out images",
                           "sampler ddim, steps 50", "learning_rate", "processor", "oneDNN",
                           "waited for data", "<svg", "data:image/png;base64"})
    EXPECT_CONTAINS(html, part);
}

TEST(Report, SummaryHoldsNumbers) {
  const Folder folder;
  const fs::path run = make_run(folder / "run", folder / "set.h5");
  write_summary(run, small_config(folder / "set.h5"), 0.5, 20);
  const auto j = nlohmann::json::parse(get(run / "summary.json"));
  EXPECT_EQ(j["result"]["loss"], 0.3);
  EXPECT_EQ(j["result"]["loss_ema"], 0.5);
  EXPECT_EQ(j["result"]["seconds_per_update"], 2.0);
  EXPECT_EQ(j["result"]["images"], 40);
  EXPECT_EQ(j["timesteps"], 20);
  EXPECT_FALSE(j["machine"].empty());
}

TEST(Report, AnInterruptedRunHasNoSummaryYet) {
  const Folder folder;
  const fs::path run = make_run(folder / "run", folder / "set.h5");
  const std::string page = (folder / "page.html").string();
  run_command({"report", run.string(), "-o", page});
  EXPECT_CONTAINS(get(page), "Configuration");
}

TEST(Report, RunsOfOneNameAreToldApart) {
  const Folder folder;
  const std::string a = make_run(folder / "a" / "run", folder / "set.h5").string();
  const std::string b = make_run(folder / "b" / "run", folder / "set.h5").string();
  EXPECT_CONTAINS(usage_error_of({"report", a, b}), "-o report.html");
  const std::string page = (folder / "page.html").string();
  run_command({"report", a, b, "-o", page});
  EXPECT_CONTAINS(get(page), b);
}

TEST(Report, DamagedFoldersAreOneSentence) {
  const Folder folder;
  const fs::path run = make_run(folder / "run", folder / "set.h5");
  const auto error = [&] { return run_error_of({"report", run.string()}); };
  EXPECT_CONTAINS(run_error_of({"report", folder.path().string()}), "is no run folder");
  EXPECT_CONTAINS(run_error_of({"report", (folder / "none").string()}), "is no run folder");
  EXPECT_CONTAINS(usage_error_of({"report", run.string(), "-o", folder.path().string()}),
                  "is a folder");

  write_png(folder / "whole.png", Image(40, 40, 3, 9));
  const std::string whole = get(folder / "whole.png");
  put(run / "previews" / "update-00000005.png", whole.substr(0, whole.size() - 30));
  EXPECT_CONTAINS(error(), "the preview of update 5");
  fs::remove_all(run / "previews");
  put(run / "grid.png", "no picture");
  EXPECT_CONTAINS(error(), "grid.png");
  fs::remove(run / "grid.png");
  put(run / "eval.json", "[]");
  EXPECT_CONTAINS(error(), "eval.json is damaged");
  fs::remove(run / "eval.json");
  put(run / "summary.json", "{");
  EXPECT_CONTAINS(error(), "summary.json");
  fs::remove(run / "summary.json");
  put(run / "config.toml", "[run]\nupdatess = 3\n");
  EXPECT_CONTAINS(usage_error_of({"report", run.string()}), "updatess");
  EXPECT_FALSE(fs::exists(run / "report.html"));
}

}  // namespace
}  // namespace noisette
