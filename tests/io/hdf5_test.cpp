#include "framework/io/hdf5.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "tests/io/files.h"
#include "tests/io/full_disk.h"

// The HDF5 library loses a few hundred bytes when it gives up on a damaged file; LeakSanitizer
// should not count them.
extern "C" const char* __lsan_default_suppressions() { return "leak:libhdf5"; }

namespace noisette {
namespace {
using hdf5::File;
using test::error_of;
using test::Folder;

template <class T>
std::span<const std::byte> raw(const std::vector<T>& v) {
  return std::as_bytes(std::span(v));
}

std::vector<float> ramp(int64_t n) {
  std::vector<float> v(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < v.size(); ++i) v[i] = std::sin(float(i));
  return v;
}

const std::vector<std::string> kStrings{"a dog", "", "\xc3\xa9t\xc3\xa9", "\xe2\x82\xac"};

void write_sample(const std::filesystem::path& path) {
  File file = File::create(path);
  file.make_group("/model/deep");
  auto data = file.create_dataset("/model/weights", DType::f32, {100, 7}, {.chunk_rows = 16});
  data.write_rows(0, 100, raw(ramp(700)));
  file.create_dataset("/packed", DType::u8, {5000}, {.deflate = 6})
      .write_rows(0, 5000, raw(std::vector<uint8_t>(5000, 7)));
  file.write_strings("/names", kStrings);
  file.set("/", "title", "caf\xc3\xa9");
  file.set("/model", "update", int64_t(1) << 40);
  file.set("/model", "rate", 0.125);
  file.set("/", "empty", "");
  file.write_text("/config", std::string(100'000, 'c'));
  for (int i = 0; i < 20; ++i) file.set("/model", "a" + std::to_string(i), int64_t(i));
  const std::vector<double> mean{1, 2, 3};
  file.set("/", "mean", std::span<const double>(mean));
  file.finish();
}

/// Reads everything that write_sample() wrote.
void read_sample(const std::filesystem::path& path) {
  const File file = File::open(path);
  for (const std::string& name : file.list("/")) (void)name;
  file.open_dataset("/model/weights").read_all<float>();
  file.open_dataset("/packed").read_all<uint8_t>();
  file.read_strings("/names");
  file.get_string("/", "title");
  file.read_text("/config");
  file.get_int("/model", "update");
  file.get_double("/model", "rate");
  file.get_doubles("/", "mean");
}

TEST(Hdf5, RoundTrip) {
  const Folder folder;
  write_sample(folder / "f.h5");
  EXPECT_EQ(folder.entries(), 1);
  const File file = File::open(folder / "f.h5");
  EXPECT_EQ(file.list("/"), (std::vector<std::string>{"config", "model", "names", "packed"}));
  EXPECT_TRUE(file.exists("/"));
  EXPECT_TRUE(file.exists("/model/deep"));
  EXPECT_FALSE(file.exists("/model/none"));
  EXPECT_FALSE(file.exists("/none/none"));

  const auto data = file.open_dataset("/model/weights");
  EXPECT_EQ(data.shape(), (Shape{100, 7}));
  EXPECT_EQ(data.dtype(), DType::f32);
  EXPECT_EQ(data.read_all<float>(), ramp(700));
  std::vector<float> rows(21);
  data.read_rows(15, 3, std::as_writable_bytes(std::span(rows)));  // across a chunk's border
  EXPECT_EQ(rows[0], std::sin(105.f));
  EXPECT_EQ(rows[20], std::sin(125.f));
  EXPECT_EQ(file.open_dataset("/packed").read_all<uint8_t>(), std::vector<uint8_t>(5000, 7));
  EXPECT_LT(std::filesystem::file_size(folder / "f.h5"), 115'000u);

  EXPECT_EQ(file.read_strings("/names"), kStrings);
  EXPECT_EQ(file.get_string("/", "title"), "caf\xc3\xa9");
  EXPECT_EQ(file.get_string("/", "empty"), "");
  EXPECT_TRUE(file.read_text("/config") == std::string(100'000, 'c'));
  EXPECT_EQ(file.get_int("/model", "a19"), 19);
  EXPECT_EQ(file.get_int("/model", "update"), int64_t(1) << 40);
  EXPECT_EQ(file.get_double("/model", "rate"), 0.125);
  EXPECT_EQ(file.get_doubles("/", "mean"), (std::vector<double>{1, 2, 3}));
  EXPECT_TRUE(file.has("/model", "rate"));
  EXPECT_FALSE(file.has("/", "rate"));
}

TEST(Hdf5, StoresEveryType) {
  const Folder folder;
  const auto path = folder / "f.h5";
  const std::string bytes = "0123456789abcdef01234567";
  const DType types[] = {DType::f32, DType::bf16, DType::f64, DType::f16,
                         DType::i32, DType::i64,  DType::u8};
  File out = File::create(path);
  for (DType t : types)
    out.create_dataset("/" + std::string(name_of(t)), t, {24 / int64_t(size_of(t))})
        .write_rows(0, 24 / int64_t(size_of(t)), test::bytes_of(bytes));
  out.finish();
  const File in = File::open(path);
  for (DType t : types) {
    const auto data = in.open_dataset("/" + std::string(name_of(t)));
    EXPECT_EQ(data.dtype(), t);
    std::string read(24, ' ');
    data.read_rows(0, data.rows(), std::as_writable_bytes(std::span(read)));
    EXPECT_EQ(read, bytes) << name_of(t);
  }
}

TEST(Hdf5, EmptyAndShrunkArrays) {
  const Folder folder;
  const auto path = folder / "f.h5";
  File out = File::create(path);
  out.create_dataset("/none", DType::f32, {0, 4});
  out.write_strings("/no_strings", {});
  auto data = out.create_dataset("/some", DType::f32, {10, 2}, {.chunk_rows = 4});
  data.write_rows(0, 5, raw(ramp(10)));
  data.shrink(5);
  out.finish();
  const File in = File::open(path);
  EXPECT_EQ(in.open_dataset("/none").shape(), (Shape{0, 4}));
  EXPECT_TRUE(in.open_dataset("/none").read_all<float>().empty());
  EXPECT_TRUE(in.read_strings("/no_strings").empty());
  EXPECT_EQ(in.open_dataset("/some").read_all<float>(), ramp(10));
}

TEST(Hdf5, MisuseIsOneSentence) {
  const Folder folder;
  const auto path = folder / "f.h5";
  write_sample(path);
  const File file = File::open(path);
  EXPECT_CONTAINS(error_of([&] { file.open_dataset("/none"); }),
                  "cannot open '/none' of " + path.string());
  EXPECT_CONTAINS(error_of([&] { file.open_dataset("/names"); }), "not read here");
  EXPECT_CONTAINS(error_of([&] { file.open_dataset("/packed").read_all<float>(); }),
                  "holds u8; expected f32");
  EXPECT_CONTAINS(error_of([&] { file.get_int("/", "title"); }), "holds no integers");
  EXPECT_CONTAINS(error_of([&] { file.get_int("/", "none"); }), "attribute 'none' of '/'");
  EXPECT_CONTAINS(error_of([&] { file.get_double("/", "mean"); }), "expected one value, got 3");
  std::vector<std::byte> row(28);
  EXPECT_CONTAINS(error_of([&] { file.open_dataset("/model/weights").read_rows(100, 1, row); }),
                  "no rows [100, 101); it has 100");
  EXPECT_CONTAINS(error_of([&] { file.open_dataset("/model/weights").read_rows(0, 2, row); }),
                  "take 56 bytes; got 28");
  EXPECT_CONTAINS(
      error_of([&] { File::create(folder / "g.h5").set("/", "long", std::string(40'000, 'x')); }),
      "attribute 'long' of '/'");
  EXPECT_CONTAINS(error_of([&] { File::open(folder / "none.h5"); }), "No such file");
  EXPECT_CONTAINS(error_of([&] { File::open(folder.path()); }), "no regular file");
  EXPECT_CONTAINS(error_of([&] { File::create(folder / "none/f.h5"); }), "No such file");
  test::put(folder / "text.h5", "not an HDF5 file");
  EXPECT_CONTAINS(error_of([&] { File::open(folder / "text.h5"); }), "text.h5");
}

TEST(Hdf5, AnUnfinishedFileLeavesNothing) {
  const Folder folder;
  {
    File file = File::create(folder / "f.h5");
    file.create_dataset("/x", DType::f32, {10}).write_rows(0, 10, raw(ramp(10)));
  }
  EXPECT_EQ(folder.entries(), 0);
}

/// The limit strikes in the middle of a large array, in buffered small ones, in text and in
/// attributes.
TEST(Hdf5, FullDiskLeavesNothing) {
  const Folder folder;
  const std::vector<float> big = ramp(500'000);
  for (const rlim_t limit : {0, 100, 1000, 5000, 20'000, 100'000, 300'000, 1'990'000}) {
    const test::FullDisk full(limit);
    const std::string message = error_of([&] {
      File file = File::create(folder / "f.h5");
      file.set("/", "title", "text");
      for (int i = 0; i < 20; ++i)
        file.create_dataset("/small" + std::to_string(i), DType::f32, {100})
            .write_rows(0, 100, raw(ramp(100)));
      file.write_text("/text", std::string(10'000, 'x'));
      file.write_strings("/names", kStrings);
      file.create_dataset("/x", DType::f32, {500'000}).write_rows(0, 500'000, raw(big));
      file.finish();
    });
    EXPECT_CONTAINS(message, "f.h5");
    EXPECT_CONTAINS(message, ": File too large");
    EXPECT_EQ(folder.entries(), 0) << limit;
  }
  write_sample(folder / "g.h5");  // the library still works
  read_sample(folder / "g.h5");
}

TEST(Hdf5, TruncationIsAnError) {
  const Folder folder;
  write_sample(folder / "f.h5");
  const std::string whole = test::get(folder / "f.h5");
  std::mt19937 random(5);
  for (int i = 0; i < 60; ++i) {
    const std::size_t length = i < 20 ? std::size_t(i) * 16 : random() % whole.size();
    test::put(folder / "cut.h5", whole.substr(0, length));
    EXPECT_THROW(read_sample(folder / "cut.h5"), Error) << length << " of " << whole.size();
  }
}

TEST(Hdf5, FlippedBitsNeverGoUnnoticedInData) {
  const Folder folder;
  write_sample(folder / "f.h5");
  const std::string whole = test::get(folder / "f.h5");
  std::mt19937 random(7);
  int noticed = 0;
  constexpr int kTrials = 300;
  for (int i = 0; i < kTrials; ++i) {
    std::string damaged = whole;
    damaged[random() % whole.size()] ^= char(1 << random() % 8);
    test::put(folder / "bad.h5", damaged);
    try {
      read_sample(folder / "bad.h5");
      const File file = File::open(folder / "bad.h5");
      EXPECT_EQ(file.open_dataset("/model/weights").read_all<float>(), ramp(700));
      EXPECT_TRUE(file.read_text("/config") == std::string(100'000, 'c'));
      EXPECT_EQ(file.get_string("/", "title"), "caf\xc3\xa9");
      EXPECT_EQ(file.get_int("/model", "update"), int64_t(1) << 40);
      EXPECT_EQ(file.read_strings("/names"), kStrings);
    } catch (const Error&) {
      ++noticed;
    }
  }
  // The rest hit bytes that hold nothing: free space inside the library's blocks.
  EXPECT_GT(noticed, kTrials / 2);
}

}  // namespace
}  // namespace noisette
