// What was measured of libraries is kept on disk, and what switches them off.
#include <spdlog/spdlog.h>

#include <cstdlib>

#include "framework/core/dispatch.h"
#include "framework/ops/conv_observer.h"
#include "framework/report/log.h"
#include "tests/support/cuda.h"
#include "tests/train/program.h"
#include "train/conv_forms.h"
#include "train/measure.h"
#include "train/provider_cache.h"
#include "train/providers.h"
#ifdef NOISETTE_CUDA
#include "kernels/cuda/providers/providers.h"
#endif

namespace noisette {
namespace {

using namespace test;
using cuda::providers::Choice;
using cuda::providers::Choices;

const char* const kMachine = "NVIDIA H100 80GB HBM3, driver 580.65.06, cuBLASLt 13.0.2";

class ProviderCaches : public testing::Test {
 protected:
  ProviderCaches() { set_up_log("warn"); }
  ~ProviderCaches() override { spdlog::set_default_logger(before); }

  const std::shared_ptr<spdlog::logger> before = spdlog::default_logger();
  const Folder folder;
  const ProviderCache cache{folder / "made/noisette", kMachine};
  const Choices choices = {
      {"matmul f32 1 2 3",
       {.plan = "cuBLASLt 2", .ours = 2e-5, .theirs = 1e-5, .fastest = "cuBLASLt 2"}},
      {"conv2d_forward bf16 1", {.plan = "", .ours = 1e-5, .theirs = 0, .fastest = ""}}};

  /// What load() warns of.
  std::string warning() const {
    const Quiet quiet;
    EXPECT_TRUE(cache.load().empty());
    return quiet.text();
  }
};

TEST_F(ProviderCaches, GiveBackWhatWasKept) {
  EXPECT_EQ(warning(), "") << "none is no fault";
  cache.save(choices);
  EXPECT_EQ(cache.path().filename(),
            "providers-nvidia-h100-80gb-hbm3-driver-580.65.06-cublaslt-13.0.2.json");
  const Choices got = cache.load();
  ASSERT_EQ(got.size(), 2u);
  const auto& c = got.at("matmul f32 1 2 3");
  EXPECT_EQ(c.plan, "cuBLASLt 2");
  EXPECT_EQ(c.fastest, "cuBLASLt 2");
  EXPECT_EQ(c.ours, 2e-5);
  EXPECT_EQ(c.theirs, 1e-5);
  EXPECT_EQ(got.at("conv2d_forward bf16 1").plan, "");
}

TEST_F(ProviderCaches, KeepWhatAnotherProcessAdded) {
  const Choice first{"a 1", 2, 1, "a 1"}, second{"a 2", 2, 1, "a 2"};
  cache.save({{"theirs", first}, {"both", first}});
  cache.save({{"mine", second}, {"both", second}});
  const Choices all = cache.load();
  EXPECT_EQ(all.size(), 3u);
  EXPECT_EQ(all.at("both").plan, "a 2");
}

TEST_F(ProviderCaches, OfAnotherDriverAreOtherFiles) {
  cache.save(choices);
  for (const char* machine : {"NVIDIA H100 80GB HBM3, driver 590.1, cuBLASLt 13.0.2",
                              "NVIDIA H100 80GB HBM3, driver 580.65.06, cuBLASLt 13.1.0",
                              "NVIDIA H200, driver 580.65.06, cuBLASLt 13.0.2"})
    EXPECT_TRUE(ProviderCache(cache.path().parent_path(), machine).load().empty()) << machine;
}

TEST_F(ProviderCaches, ThatAreDamagedAreOneWarningAndWrittenAnew) {
  cache.save(choices);
  const std::string whole = get(cache.path());
  std::string foreign = whole;
  foreign.replace(foreign.find("580"), 3, "590");
  for (const std::string& text :
       {std::string(), whole.substr(0, whole.size() / 2), std::string("[1, 2]"),
        std::string(R"({"machine": 3})"), foreign}) {
    put(cache.path(), text);
    const std::string said = warning();
    EXPECT_CONTAINS(said, "cannot be used, so what it said is measured anew");
    EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
    cache.save(choices);
    EXPECT_EQ(get(cache.path()), whole);
  }
}

TEST_F(ProviderCaches, ThatCannotBeWrittenAreOneWarning) {
  put(folder / "made", "a file where the folder should be");
  const Quiet quiet;
  cache.save(choices);
  cache.save(choices);
  const std::string said = quiet.text();
  EXPECT_CONTAINS(said, "what libraries measured is not kept");
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
}

/// Sets a variable of the environment for a while; null: takes it away.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    set(value);
  }
  ~Variable() { set(before_ ? before_->c_str() : nullptr); }
  Variable(const Variable&) = delete;

 private:
  void set(const char* value) const { value ? setenv(name_, value, 1) : unsetenv(name_); }
  const char* name_;
  std::optional<std::string> before_;
};

TEST(CacheFolder, IsWhereTheSystemKeepsSuchFiles) {
  const Variable home("HOME", "/elsewhere");
  {
    const Variable cache("XDG_CACHE_HOME", "/caches");
    EXPECT_EQ(cache_folder(), "/caches/noisette");
  }
  for (const char* unusable : {static_cast<const char*>(nullptr), "", "relative"}) {
    const Variable cache("XDG_CACHE_HOME", unusable);
    EXPECT_EQ(cache_folder(), "/elsewhere/.cache/noisette");
    const Variable homeless("HOME", nullptr);
    EXPECT_EQ(cache_folder(), std::nullopt);
  }
}

TEST(Deterministic, RunsAskNoClock) {
  const Training t;
  TrainConfig c = t.config("a");
  c.run.deterministic = true;
  const ConvObserver observer;
  measure_conv_forms(c);
  plan_step(c);
  EXPECT_FALSE(observer.cases().empty()) << "another observer came between: it was measured";
  EXPECT_EQ(c.run.conv_forms, std::vector<std::string>{"rule"});
}

TEST(Deterministic, IsASwitchOfTheCommand) {
  const Training t;
  TrainConfig c = t.config("a");
  c.run.updates = 1;
  put(t.folder / "run.toml", config::to_toml(c));
  const Outcome o =
      noisette(t.folder, {"train", (t.folder / "run.toml").string(), "--deterministic"});
  ASSERT_EQ(o.code, 0) << o.err;
  const std::string resolved = get(c.run_folder() / "config.toml");
  EXPECT_CONTAINS(resolved, "deterministic = true");
  EXPECT_CONTAINS(resolved, "providers = \"auto\"");
}

TEST(BenchKernels, AreTimedOnACardAlone) {
  if (!kHasCuda || testing_support::has_cuda())
    GTEST_SKIP() << "what a machine without a card says";
  const Folder folder;
  expect_one_sentence(noisette(folder, {"bench", "kernels"}), 1,
                      "kernels are timed on a card, and none is here; --simulated counts them");
}

#ifdef NOISETTE_CUDA

TEST(CudaProviderSwitches, AreObeyed) {
  NOISETTE_NEEDS_CUDA();
  namespace providers = cuda::providers;
  const Training t;
  TrainConfig c = t.config("a");
  c.run.device_name = "cuda";
  use_providers(c);
  EXPECT_EQ(providers::selection() != nullptr,
            !providers::installed([](const std::string&) {}).empty());
  c.run.providers = Providers::none;
  use_providers(c);
  EXPECT_EQ(providers::selection(), nullptr);
  c.run.providers = Providers::automatic;
  c.run.deterministic = true;
  use_providers(c);
  EXPECT_EQ(providers::selection(), nullptr);
}

#endif

}  // namespace
}  // namespace noisette
