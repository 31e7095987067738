// scripts/gpu-check.sh in a pretended environment: another nvidia-smi, and the software GPU for a
// card.
#include <nlohmann/json.hpp>

#include "tests/scripts/script.h"

namespace noisette {
namespace {

using namespace test;
namespace fs = std::filesystem;

constexpr const char* kCard = R"(#!/bin/sh
case "$*" in
  *--query-gpu*) echo "NVIDIA Pretended 9000, 580.65.06, 9.0, 81559 MiB" ;;
  *) echo "| NVIDIA-SMI 580.65.06    Driver Version: 580.65.06    CUDA Version: 13.0 |" ;;
esac
)";

/// The script with a PATH that begins with `folder`/path, or is that alone.
Outcome gpu_check(const Folder& folder, const std::string& options, bool alone = false,
                  const std::string& environment = "") {
  const std::string path =
      "PATH='" + (folder / "path").string() + "'" + (alone ? "" : ":\"$PATH\"") + " ";
  return run_script(folder, "gpu-check.sh",
                    "--out '" + (folder / "results").string() + "' " + options, path + environment);
}

void expect_refused(const Outcome& o, const std::string& part) {
  expect_one_sentence(o, 2, "gpu-check: ", part);
}

TEST(GpuCheck, SaysInOneSentenceWhyItCannotRun) {
  const Folder folder;
  const fs::path path = folder / "path";
  fs::create_directories(path);
  for (const char* tool : {"dirname", "mkdir"})
    fs::create_symlink(fs::path("/bin") / tool, path / tool);
  expect_refused(gpu_check(folder, "", true), "there is no nvidia-smi on this machine");

  put_program(path / "nvidia-smi", "#!/bin/sh\necho 'has failed to reach\nthe driver'; exit 9\n");
  expect_refused(gpu_check(folder, ""), "no card '0': has failed to reach the driver");

  put_program(path / "nvidia-smi", "#!/bin/sh\necho 'Old Card, 580.65.06, 7.5, 8000 MiB'\n");
  expect_refused(gpu_check(folder, ""), "8.0 or later; Old Card has 7.5");

  put_program(path / "nvidia-smi",
              std::string(kCard).replace(std::string(kCard).find("13.0"), 4, "12.4"));
  expect_refused(gpu_check(folder, ""), "driver 580.65.06 is for CUDA 12.4");

  put_program(path / "nvidia-smi", kCard);
  put_program(path / "nvcc", "#!/bin/sh\necho 'Cuda compilation tools, release 12.4, V12.4.131'\n");
  expect_refused(gpu_check(folder, ""), "nvcc is of 12.4; scripts/bundle.sh");

  expect_refused(gpu_check(folder, "--fast"), "'--fast' is unknown; see --help");
  expect_refused(gpu_check(folder, "--built"), "--built needs a folder");
  EXPECT_TRUE(fs::is_empty(folder / "results"));
}

TEST(GpuCheck, WhatFailsIsWrittenDown) {
  const Folder folder;
  put_program(folder / "path/nvidia-smi", kCard);
  put(folder / "built/simulator/libcudart.so.13", "SIM_SEED");  // makes it look simulated
  for (const char* name : {"noisette", "test_core", "test_kernels", "test_ops", "test_train_cuda"})
    put_program(folder / "built/bin" / name, "#!/bin/sh\necho '\"too\tbad\"' >&2\nexit 3\n");
  put_program(folder / "built/bin/noisette",
              "#!/bin/sh\n[ $1 = --version ] && echo noisette 0 && exit\necho no\nexit 3\n");
  const Outcome o =
      gpu_check(folder, "--quick --simulated --built '" + (folder / "built").string() + "'");
  EXPECT_EQ(o.code, 1) << o.out << o.err;
  const fs::path file = folder / "results/simulated-pretended-9000-quick.json";
  const auto j = nlohmann::json::parse(get(file));
  EXPECT_EQ(j["verdict"], "failed");
  EXPECT_EQ(j["failures"].size(), 3u + 8u) << j["failures"];
  EXPECT_EQ(j["tests"][0]["exit_code"], 3);
  EXPECT_EQ(j["tests"][0]["output_end"], "\"too\tbad\"");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder / "results"), fs::directory_iterator()), 2)
      << "the file, its readable form, and nothing temporary";
  EXPECT_CONTAINS(get(file.parent_path() / "simulated-pretended-9000-quick.md"), "Failed: core; ");
}

TEST(GpuCheck, NeverTakesTheSoftwareGpuForACard) {
  const Folder folder;
  put_program(folder / "path/nvidia-smi", kCard);
  put(folder / "software/libcudart.so.13", "SIM_SEED");
  for (const char* name : {"noisette", "test_core", "test_kernels", "test_ops", "test_train_cuda"})
    put_program(folder / "built/bin" / name,
                "#!/bin/sh\necho \"path is <$LD_LIBRARY_PATH>\" >&2\nexit 3\n");
  put_program(folder / "built/bin/noisette", "#!/bin/sh\nexit 0\n");
  const Outcome o = gpu_check(
      folder, "--quick --built '" + (folder / "built").string() + "'", false,
      "LD_LIBRARY_PATH='" + (folder / "software").string() + ":" + folder.path().string() + "'");
  const auto j = nlohmann::json::parse(get(folder / "results/pretended-9000-quick.json"));
  EXPECT_EQ(j["simulated"], false);
  EXPECT_EQ(j["tests"][0]["output_end"], "path is <" + folder.path().string() + ">");
}

#ifdef NOISETTE_BUILD_DIR
TEST(GpuCheck, RunsToTheEndOnTheSoftwareGpu) {
  const Folder folder;
  put_program(folder / "path/nvidia-smi", kCard);
  const Outcome o = gpu_check(folder, "--quick --simulated --built '" NOISETTE_BUILD_DIR "'");
  ASSERT_EQ(o.code, 0) << o.out << o.err;
  const auto j = nlohmann::json::parse(get(folder / "results/simulated-pretended-9000-quick.json"));
  EXPECT_EQ(j["card"], "NVIDIA Pretended 9000 (simulated)");
  EXPECT_EQ(j["simulated"], true);
  EXPECT_EQ(j["verdict"], "passed");
  for (const auto& test : j["tests"]) {
    EXPECT_GT(test["passed"], 0) << test["name"];
    EXPECT_EQ(test["skipped"], 0) << test["name"];
  }
  ASSERT_EQ(j["benchmarks"].size(), 8u);
  for (const auto& b : j["benchmarks"]) EXPECT_GT(b["result"]["seconds_per_step"], 0) << b;
  EXPECT_CONTAINS(get(folder / "results/simulated-pretended-9000-quick.md"),
                  "**no time here says anything about a card**");
}
#endif

}  // namespace
}  // namespace noisette
