// What the software GPU counts of the CUDA kernels does not get worse than bench/results/ says.
#include "tests/support/cuda.h"
#include "tests/train/program.h"

namespace noisette {
namespace {

TEST(CudaFigures, AreNotWorseThanStored) {
  NOISETTE_NEEDS_CUDA();
  if (std::getenv("NOISETTE_SIMULATOR") == nullptr) GTEST_SKIP() << "no software GPU is named";
  const test::Folder folder;
  const test::Outcome o = test::noisette(
      folder, {"bench", "kernels", "--simulated", "--simulator", std::getenv("NOISETTE_SIMULATOR"),
               "--check", NOISETTE_SOURCE_DIR "/bench/results/simulated-h100.json"});
  EXPECT_EQ(o.code, 0) << o.err;
}

}  // namespace
}  // namespace noisette
