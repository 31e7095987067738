// What the software GPU counts of the CUDA kernels does not get worse than bench/results/ says.
#include "tests/support/cuda.h"
#include "tests/train/program.h"

namespace noisette {
namespace {

class CudaFigures : public testing::TestWithParam<const char*> {};

TEST_P(CudaFigures, AreNotWorseThanStored) {
  NOISETTE_NEEDS_CUDA();
  if (std::getenv("NOISETTE_SIMULATOR") == nullptr) GTEST_SKIP() << "no software GPU is named";
  const test::Folder folder;
  const test::Outcome o =
      test::noisette(folder, {"bench", "kernels", "--simulated", "--simulator",
                              std::getenv("NOISETTE_SIMULATOR"), "--filter", GetParam(), "--check",
                              NOISETTE_SOURCE_DIR "/bench/results/simulated-h100.json"});
  EXPECT_EQ(o.code, 0) << o.err;
}

// One of a kind: all of them take minutes (noisette bench kernels --simulated --check FILE).
INSTANTIATE_TEST_SUITE_P(Kernels, CudaFigures,
                         testing::Values("4096 x 4096 x 4096, A Bt",
                                         "conv 3x3 128 -> 128, 128 x 32 x 32", "conv 3x3 3 -> 128",
                                         "attention 2 x 256 to 256, 8 of 160",
                                         "16 x 256 x 256, bf16", "4096 x 320, bf16", "AdamW",
                                         "q_sample"));

}  // namespace
}  // namespace noisette
