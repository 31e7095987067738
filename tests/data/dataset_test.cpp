#include "framework/data/dataset.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/data/samples.h"
#include "tests/io/files.h"
#include "tests/io/full_disk.h"

namespace noisette {
namespace {
using test::error_of;
using test::Folder;
using test::write_dataset;

TEST(Dataset, RoundTripInMemoryAndOnDisk) {
  const Folder folder;
  const auto path = folder / "set.h5";
  const DatasetInfo written = write_dataset(path, 3000, 17, 3, true);
  std::vector<uint8_t> pixels[2];
  for (bool in_memory : {false, true}) {
    const auto data = Dataset::open(path, in_memory ? 1 << 30 : 0);
    EXPECT_EQ(data->in_memory(), in_memory);
    EXPECT_EQ(data->info().count, 3017);
    EXPECT_EQ(data->info().image_bytes(), 72);
    EXPECT_EQ(data->info().splits,
              (std::vector<SplitRange>{{"train", 0, 3000}, {"test", 3000, 17}}));
    EXPECT_EQ(data->info().class_names, (std::vector<std::string>{"a", "b", "c"}));
    EXPECT_EQ(data->info().mean, written.mean);
    EXPECT_EQ(data->info().fingerprint, written.fingerprint);
    EXPECT_EQ(data->caption(3001), "image 3001");
    EXPECT_EQ(data->label(3001), 3001 % 3);
    const std::vector<int64_t> numbers{3016, 0, 1500, 0};
    pixels[in_memory].resize(4 * 72);
    data->read_images(numbers, pixels[in_memory]);
    EXPECT_EQ(data->image(1500).pixels, std::vector<uint8_t>(pixels[in_memory].begin() + 144,
                                                             pixels[in_memory].begin() + 216));
    data->verify();
  }
  EXPECT_EQ(pixels[0], pixels[1]);
  EXPECT_NE(std::vector<uint8_t>(72),
            std::vector<uint8_t>(pixels[0].begin(), pixels[0].begin() + 72));
}

TEST(Dataset, SplitsNumberFromZero) {
  const Folder folder;
  const auto path = (folder / "set.h5").string();
  write_dataset(path, 20, 5);
  const DataSplit train = DataSplit::open(path, "train"),
                  test = DataSplit::open(path + "#test", "train");
  EXPECT_EQ(train.size(), 20);
  EXPECT_EQ(test.size(), 5);
  EXPECT_EQ(test.image(1), test.dataset().image(21));
  EXPECT_EQ(test.label(1), 0);
  EXPECT_EQ(test.caption(1), "");
  EXPECT_CONTAINS(error_of([&] { test.label(5); }),
                  "split 'test' of " + path + " has no image 5; it has 5");
  EXPECT_CONTAINS(error_of([&] { DataSplit::open(path, "valid"); }),
                  "no split 'valid'; it has: train, test");
}

TEST(Dataset, FingerprintCoversEverything) {
  const Folder folder;
  const auto make = [&](int value, int32_t label, const std::string& caption,
                        const std::string& name, int64_t train) {
    DatasetWriter w(folder / "f.h5", 2, 1, 1, 1);
    const uint8_t a = 1, b = uint8_t(value);
    w.add({&a, 1}, 0, "x");
    w.add({&b, 1}, label, caption);
    return w.finish("s", {"a", name}, {{"train", train}, {"test", 2 - train}}).fingerprint;
  };
  const std::string base = make(1, 0, "y", "b", 1);
  EXPECT_EQ(base.size(), 32u);
  EXPECT_EQ(make(1, 0, "y", "b", 1), base);
  EXPECT_NE(make(2, 0, "y", "b", 1), base);
  EXPECT_NE(make(1, 1, "y", "b", 1), base);
  EXPECT_NE(make(1, 0, "z", "b", 1), base);
  EXPECT_NE(make(1, 0, "y", "c", 1), base);
  EXPECT_NE(make(1, 0, "y", "b", 2), base);
}

TEST(Dataset, MeanAndDeviation) {
  const Folder folder;
  DatasetWriter w(folder / "f.h5", 1, 1, 2, 3);
  const std::vector<uint8_t> image{0, 10, 255, 20, 10, 255};
  w.add(image);
  const DatasetInfo info = w.finish("s", {}, {{"train", 1}});
  EXPECT_EQ(info.mean, (std::vector<double>{10, 10, 255}));
  EXPECT_EQ(info.std, (std::vector<double>{10, 0, 0}));
}

TEST(Dataset, ChangedContentIsNoticed) {
  const Folder folder;
  const auto path = folder / "set.h5";
  write_dataset(path, 50, 5);
  const std::string whole = test::get(path);
  const std::string pixels(
      reinterpret_cast<const char*>(Dataset::open(path)->image(7).pixels.data()), 72);
  const std::size_t at = whole.find(pixels);
  ASSERT_NE(at, whole.npos);
  std::string changed = whole;
  changed[at + 3] ^= 1;
  test::put(path, changed);
  EXPECT_CONTAINS(error_of([&] { Dataset::open(path); }), "set.h5");
}

TEST(Dataset, RefusesOtherFiles) {
  const Folder folder;
  hdf5::File file = hdf5::File::create(folder / "other.h5");
  file.create_dataset("/images", DType::u8, {1, 2, 2, 1});
  file.finish();
  EXPECT_CONTAINS(error_of([&] { Dataset::open(folder / "other.h5"); }),
                  "not a data set of noisette");
  test::put(folder / "text.h5", "hello");
  EXPECT_CONTAINS(error_of([&] { Dataset::open(folder / "text.h5"); }), "text.h5");
  EXPECT_CONTAINS(error_of([&] { Dataset::open(folder / "none.h5"); }), "No such file");
}

TEST(DatasetWriter, NothingAppearsWithoutFinish) {
  const Folder folder;
  {
    DatasetWriter w(folder / "f.h5", 10, 2, 2, 1);
    w.add(std::vector<uint8_t>(4));
  }
  EXPECT_EQ(folder.entries(), 0);
  {
    const test::FullDisk full(20'000);
    EXPECT_THROW(write_dataset(folder / "f.h5", 3000, 1), Error);
  }
  EXPECT_EQ(folder.entries(), 0);
  EXPECT_THROW(DatasetWriter(folder / "f.h5", 10, 2, 2, 1).finish("", {}, {}), Error);
  EXPECT_CONTAINS(
      error_of([&] { DatasetWriter(folder / "f.h5", 10, 2, 2, 1).add(std::vector<uint8_t>(5)); }),
      "has 4 bytes; got 5");
}

}  // namespace
}  // namespace noisette
