// scripts/bundle.sh: what it refuses. That a bundle runs is tried by hand (CONTRIBUTING.md), for
// packing takes minutes.
#include "tests/scripts/script.h"

namespace noisette {
namespace {

using namespace test;
namespace fs = std::filesystem;

TEST(Bundle, SaysInOneSentenceWhatItCannotPack) {
  const Folder folder;
  const auto refused = [&](const std::string& options, const std::string& part) {
    expect_one_sentence(run_script(folder, "bundle.sh", options), 1, "bundle: ", part);
  };
  const std::string out = " '" + (folder / "out/b.tar.xz").string() + "'",
                    built = " --built '" + (folder / "built").string() + "'";
  refused("--fast", "'--fast' is unknown; see --help");
  refused("--built", "--built needs a value");
  refused("'" + (folder / "b.zip").string() + "'", "the archive's name ends in .tar.xz; got");

  fs::create_directories(folder / "built/bin");
  refused(built + out, "has no program noisette");
  for (const char* name : {"noisette", "test_core", "test_kernels", "test_ops", "test_train_cuda"})
    fs::copy_file("/bin/true", folder / "built/bin" / name);
  refused(built + out, "are built without CUDA");
  EXPECT_TRUE(fs::is_empty(folder / "out"));
}

}  // namespace
}  // namespace noisette
