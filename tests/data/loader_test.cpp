#include "framework/data/loader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "framework/data/permutation.h"
#include "tests/data/samples.h"
#include "tests/io/files.h"

namespace noisette {
namespace {
using test::error_of;
using test::Folder;

std::vector<int64_t> order_of(int64_t n, uint64_t seed, int64_t epoch) {
  const Permutation p(n, seed, epoch);
  std::vector<int64_t> order(static_cast<std::size_t>(n));
  for (int64_t i = 0; i < n; ++i) order[std::size_t(i)] = p(i);
  return order;
}

TEST(Permutation, IsABijection) {
  for (int64_t n : {1, 2, 3, 5, 64, 65, 1000, 60000}) {
    std::vector<int64_t> order = order_of(n, 7, 3);
    std::sort(order.begin(), order.end());
    std::vector<int64_t> all(static_cast<std::size_t>(n));
    std::iota(all.begin(), all.end(), 0);
    EXPECT_EQ(order, all) << n;
  }
}

TEST(Permutation, DiffersByEpochAndSeed) {
  const auto base = order_of(1000, 1, 0);
  EXPECT_EQ(base, order_of(1000, 1, 0));
  for (const auto& other : {order_of(1000, 1, 1), order_of(1000, 2, 0)}) {
    int64_t same = 0;
    for (std::size_t i = 0; i < 1000; ++i) same += base[i] == other[i];
    EXPECT_LT(same, 10);  // one is expected
  }
}

TEST(Permutation, EveryOrderOfThreeIsAboutEquallyLikely) {
  std::map<std::vector<int64_t>, int> seen;
  for (int64_t epoch = 0; epoch < 6000; ++epoch) ++seen[order_of(3, 5, epoch)];
  ASSERT_EQ(seen.size(), 6u);
  for (const auto& [order, count] : seen) EXPECT_NEAR(count, 1000, 150);  // 5 standard deviations
}

TEST(Permutation, NeighboursAreIndependent) {
  // Mean of p(i) * p(i + 1), centred and scaled: a correlation, with deviation 1 / sqrt(n).
  const int64_t n = 60000;
  const auto order = order_of(n, 11, 2);
  double sum = 0;
  for (int64_t i = 0; i + 1 < n; ++i)
    sum += (2.0 * double(order[std::size_t(i)]) / n - 1) *
           (2.0 * double(order[std::size_t(i + 1)]) / n - 1) * 3;
  EXPECT_LT(std::abs(sum / n), 5 / std::sqrt(double(n)));
}

class LoaderTest : public testing::Test {
 protected:
  void SetUp() override { test::write_dataset(folder / "set.h5", 37, 5); }
  DataSplit split() const { return DataSplit::open((folder / "set.h5").string(), "train"); }
  Folder folder;
};

std::vector<ImageBatch> drain(Loader& loader) {
  std::vector<ImageBatch> all;
  while (auto batch = loader.next()) all.push_back(std::move(*batch));
  return all;
}

struct Joined {
  std::vector<uint8_t> images;
  std::vector<int64_t> numbers, labels;
  bool operator==(const Joined&) const = default;
};

/// Everything of one update, whatever its pieces, in the order of positions.
Joined join(std::vector<ImageBatch> batches, int64_t update) {
  std::sort(batches.begin(), batches.end(),
            [](const auto& a, const auto& b) { return a.position < b.position; });
  Joined all;
  for (const ImageBatch& b : batches)
    if (b.update == update) {
      all.images.insert(all.images.end(), b.images.begin(), b.images.end());
      all.numbers.insert(all.numbers.end(), b.numbers.begin(), b.numbers.end());
      all.labels.insert(all.labels.end(), b.labels.begin(), b.labels.end());
    }
  return all;
}

TEST_F(LoaderTest, EachEpochVisitsEachImageOnce) {
  Loader loader(split(), {.order = {.seed = 3, .global_batch = 10}, .end_update = 37});
  std::vector<int64_t> numbers;
  for (const ImageBatch& b : drain(loader))
    numbers.insert(numbers.end(), b.numbers.begin(), b.numbers.end());
  ASSERT_EQ(numbers.size(), 370u);
  for (int64_t epoch = 0; epoch < 10; ++epoch)
    EXPECT_EQ(
        std::set<int64_t>(numbers.begin() + 37 * epoch, numbers.begin() + 37 * (epoch + 1)).size(),
        37u);
}

TEST_F(LoaderTest, BatchesDoNotDependOnHowTheyAreCut) {
  const OrderConfig order{.seed = 9, .global_batch = 12, .flip = true};
  Loader whole(split(), {.order = order, .end_update = 8});
  const auto reference = drain(whole);
  ASSERT_EQ(reference.size(), 8u);

  for (int64_t micro : {1, 5, 12}) {
    Loader loader(split(), {.order = order, .end_update = 8, .micro_batch = micro, .prefetch = 2});
    const auto batches = drain(loader);
    EXPECT_EQ(int64_t(batches.size()), 8 * ((12 + micro - 1) / micro));
    for (int64_t u = 0; u < 8; ++u) EXPECT_EQ(join(batches, u), join(reference, u)) << micro;
  }
  Loader low(split(), {.order = order, .end_update = 8, .begin = 0, .end = 7});  // two processes
  Loader high(split(), {.order = order, .end_update = 8, .begin = 7, .end = 12, .micro_batch = 2});
  auto both = drain(low);
  for (ImageBatch& b : drain(high)) both.push_back(std::move(b));
  for (int64_t u = 0; u < 8; ++u) EXPECT_EQ(join(both, u), join(reference, u));

  Loader resumed(split(), {.order = order, .first_update = 5, .end_update = 8});
  const auto rest = drain(resumed);
  ASSERT_EQ(rest.size(), 3u);
  EXPECT_EQ(join(rest, 6), join(reference, 6));
  EXPECT_FALSE(resumed.next().has_value());
}

TEST_F(LoaderTest, FlipsHalfAndOnlyFlips) {
  const DataSplit data = split();
  OrderConfig order{.seed = 4, .global_batch = 37, .flip = true};
  int flipped = 0, total = 0;
  for (int64_t update = 0; update < 20; ++update) {
    const ImageBatch batch = make_batch(data, order, update, 0, 37);
    for (int64_t i = 0; i < 37; ++i, ++total) {
      const Image image = data.image(batch.numbers[std::size_t(i)]);
      const uint8_t* got = batch.images.data() + 72 * i;
      const bool same = std::equal(image.pixels.begin(), image.pixels.end(), got);
      bool mirrored = true;
      for (int64_t y = 0; y < 4; ++y)
        for (int64_t x = 0; x < 6; ++x)
          mirrored &= std::equal(got + (y * 6 + x) * 3, got + (y * 6 + x) * 3 + 3,
                                 image.row(y) + (5 - x) * 3);
      EXPECT_NE(same, mirrored);
      EXPECT_EQ(mirrored, sample_at(order, 37, update, i).flip);
      flipped += mirrored;
    }
  }
  EXPECT_NEAR(flipped, total / 2, 5 * std::sqrt(total) / 2);
  order.flip = false;
  EXPECT_FALSE(sample_at(order, 37, 0, 0).flip);
}

TEST_F(LoaderTest, StopsWithoutBeingDrained) {
  for (int i = 0; i < 20; ++i) {
    Loader loader(split(),
                  {.order = {.global_batch = 4}, .end_update = int64_t(1) << 40, .prefetch = 1});
    if (i % 2) loader.next();
  }
}

TEST_F(LoaderTest, ErrorsReachTheConsumer) {
  // On-disk reading of a file whose pixels are damaged: opening works, the checksum of the chunk
  // does not.
  const auto path = folder / "set.h5";
  const Image first = Dataset::open(path)->image(0);
  std::string bytes = test::get(path);
  bytes[bytes.find(std::string(first.pixels.begin(), first.pixels.end()))] ^= 1;
  test::put(path, bytes);
  const DataSplit damaged(Dataset::open(path, 0), "train");
  Loader loader(damaged, {.order = {.global_batch = 37}, .end_update = 100});
  EXPECT_CONTAINS(error_of([&] { drain(loader); }), "cannot read '/images' of");
  EXPECT_THROW(loader.next(), Error);
}

TEST_F(LoaderTest, ChecksItsOptions) {
  EXPECT_THROW(Loader(split(), {.order = {.global_batch = 0}}), Error);
  EXPECT_THROW(Loader(split(), {.order = {.global_batch = 1 << 24}}), Error);
  EXPECT_THROW(Loader(split(), {.order = {.global_batch = 8}, .begin = 4, .end = 9}), Error);
  EXPECT_THROW(make_batch(split(), {.global_batch = 8}, 0, 0, 9), Error);
}

TEST(Pixels, RoundTripIsExact) {
  std::vector<uint8_t> all(256), back(256);
  std::iota(all.begin(), all.end(), uint8_t(0));
  std::vector<float> values(256);
  pixels_to_float(all, values.data());
  EXPECT_EQ(values[0], -1.f);
  EXPECT_EQ(values[255], 1.f);
  pixels_from_float(values, back.data());
  EXPECT_EQ(all, back);
  const std::vector<float> odd{-1e30f, 1e30f, NAN, -INFINITY, INFINITY, 0.f};
  pixels_from_float(odd, back.data());
  EXPECT_EQ(std::vector<uint8_t>(back.begin(), back.begin() + 6),
            (std::vector<uint8_t>{0, 255, 0, 0, 255, 128}));
}

}  // namespace
}  // namespace noisette
