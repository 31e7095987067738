// Small data sets for tests.
#pragma once
#include <random>
#include <string>
#include <vector>

#include "framework/data/dataset.h"

namespace noisette::test {

/// `train` + `test` random images of 4 x 6 pixels; image i has label i mod 3 and, if asked for, a
/// caption.
inline DatasetInfo write_dataset(const std::filesystem::path& path, int64_t train, int64_t test,
                                 int64_t channels = 3, bool captions = false) {
  DatasetWriter writer(path, train + test + 5, 4, 6, channels);
  std::mt19937 random(1);
  std::vector<uint8_t> image(std::size_t(24 * channels));
  for (int64_t i = 0; i < train + test; ++i) {
    for (uint8_t& v : image) v = uint8_t(random());
    writer.add(image, int32_t(i % 3), captions ? "image " + std::to_string(i) : "");
  }
  return writer.finish("test", {"a", "b", "c"}, {{"train", train}, {"test", test}});
}

}  // namespace noisette::test
