// docs/configuration.md is generated; this holds it to the code.
#include <gtest/gtest.h>

#include "framework/io/atomic_file.h"
#include "train/config.h"

namespace noisette {
namespace {

TEST(ConfigurationPage, IsWhatTheProgramPrints) {
  const std::string page = read_text(std::string(NOISETTE_SOURCE_DIR) + "/docs/configuration.md");
  EXPECT_EQ(page, config::describe<TrainConfig>(config::Layout::markdown) + "\n")
      << "make it again: noisette config --describe --markdown > docs/configuration.md";
}

}  // namespace
}  // namespace noisette
