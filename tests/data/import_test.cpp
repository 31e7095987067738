#include "framework/data/import.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <cstring>
#include <random>

#include "framework/data/archive.h"
#include "framework/data/utf8.h"
#include "framework/io/resample.h"
#include "tests/io/files.h"
#include "tests/io/jpeg_writer.h"

namespace noisette {
namespace {
namespace fs = std::filesystem;
using test::error_of;
using test::Folder;
using test::put;

std::string gzip(const std::string& data) {
  z_stream z{};
  deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&z, uLong(data.size())) + 32, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
  z.avail_in = uInt(data.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = uInt(out.size());
  deflate(&z, Z_FINISH);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

std::string gunzipped(const std::string& file, int64_t limit = 1 << 20) {
  const auto bytes = gunzip(test::bytes_of(file), "memory", limit);
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

TEST(Gunzip, ReadsMembersAndRefusesDamage) {
  const std::string text(100'000, 'a'), packed = gzip(text);
  EXPECT_EQ(gunzipped(packed), text);
  EXPECT_EQ(gunzipped(gzip("one") + gzip("two")), "onetwo");
  EXPECT_CONTAINS(error_of([&] { gunzipped(packed, 99'999); }), "expands to more than 99999 bytes");
  for (std::size_t n = 0; n < packed.size(); n += 5)
    EXPECT_THROW(gunzipped(packed.substr(0, n)), Error) << n;
  std::string bad = packed;
  bad[bad.size() - 6] ^= 1;  // the checksum
  EXPECT_CONTAINS(error_of([&] { gunzipped(bad); }), "is damaged: incorrect data check");
  EXPECT_THROW(gunzipped(packed + "trailing"), Error);
}

std::string tar_entry(const std::string& name, const std::string& content, char type = '0') {
  std::string header(512, '\0');
  name.copy(header.data(), 100);
  std::snprintf(header.data() + 124, 12, "%011o", unsigned(content.size()));
  std::memcpy(header.data() + 148, "        ", 8);
  header[156] = type;
  std::memcpy(header.data() + 257, "ustar\00000", 8);
  unsigned sum = 0;
  for (unsigned char c : header) sum += c;
  std::snprintf(header.data() + 148, 8, "%06o", sum);
  return header + content + std::string((512 - content.size() % 512) % 512, '\0');
}

std::vector<std::string> tar_names(const std::string& archive) {
  std::vector<std::string> names;
  for_each_tar_file(test::bytes_of(archive), "memory", [&](const std::string& name, auto content) {
    names.push_back(name + std::string(content.size(), '+'));
  });
  return names;
}

TEST(Tar, ReadsFilesAndRefusesDamage) {
  const std::string end(1024, '\0');
  const std::string file = tar_entry("d/", "", '5') + tar_entry("d/a", "xyz") +
                           tar_entry("././@LongLink", std::string(150, 'n') + '\0', 'L') +
                           tar_entry("short", "") + tar_entry("link", "", '2');
  EXPECT_EQ(tar_names(file + end), (std::vector<std::string>{"d/a+++", std::string(150, 'n')}));
  EXPECT_CONTAINS(error_of([&] { tar_names(file); }), "without its end mark");
  EXPECT_CONTAINS(
      error_of([&] { tar_names(tar_entry("a", std::string(600, 'x')).substr(0, 1024)); }),
      "ends too early");
  std::string bad = file + end;
  bad[3] ^= 1;
  EXPECT_CONTAINS(error_of([&] { tar_names(bad); }), "checksum");
}

std::string big_endian(uint32_t v) { return {char(v >> 24), char(v >> 16), char(v >> 8), char(v)}; }

std::string idx(const std::vector<uint32_t>& dims, const std::string& data) {
  std::string file{0, 0, 8, char(dims.size())};
  for (uint32_t d : dims) file += big_endian(d);
  return file + data;
}

TEST(Idx, ChecksShapeAgainstData) {
  const auto parse = [](const std::string& file) {
    return parse_idx(test::bytes_of(file), "memory");
  };
  const std::string good = idx({2, 3}, "abcdef");
  EXPECT_EQ(parse(good).shape, (Shape{2, 3}));
  EXPECT_EQ(parse(good).bytes[5], std::byte('f'));
  EXPECT_CONTAINS(error_of([&] { parse(idx({2, 3}, "abcde")); }), "does not match 5 bytes");
  EXPECT_CONTAINS(error_of([&] { parse(idx({2, 3}, "abcdefg")); }), "does not match 7 bytes");
  EXPECT_CONTAINS(error_of([&] { parse(idx({~0u, ~0u, ~0u, ~0u}, "")); }), "does not match");
  EXPECT_CONTAINS(error_of([&] { parse("\0\0"); }), "shorter than its header");
  EXPECT_CONTAINS(error_of([&] { parse(good.substr(0, 8)); }), "shorter than its header");
  EXPECT_CONTAINS(error_of([&] { parse(std::string("\0\0\x0d\1\0\0\0\0", 8)); }),
                  "magic number 00000d01");
}

class FashionFolder : public testing::Test {
 protected:
  void SetUp() override {
    for (int i = 0; i < 5 * 16; ++i) pixels += char(i * 3);
    put(in / "train-images-idx3-ubyte.gz", gzip(idx({3, 4, 4}, pixels.substr(0, 48))));
    put(in / "train-labels-idx1-ubyte.gz", gzip(idx({3}, std::string("\0\1\x09", 3))));
    put(in / "t10k-images-idx3-ubyte", idx({2, 4, 4}, pixels.substr(48)));
    put(in / "t10k-labels-idx1-ubyte", idx({2}, "\2\3"));
  }
  Folder in, out;
  std::string pixels;
};

TEST_F(FashionFolder, BothPartsBecomeSplits) {
  import_fashion_mnist(in.path(), out / "set.h5");
  const DataSplit train = DataSplit::open((out / "set.h5").string(), "train");
  const DataSplit test = DataSplit::open((out / "set.h5").string(), "test");
  EXPECT_EQ(train.size(), 3);
  EXPECT_EQ(test.size(), 2);
  EXPECT_EQ(train.label(2), 9);
  EXPECT_EQ(test.label(1), 3);
  EXPECT_EQ(train.info().class_names[9], "Ankle boot");
  const Image last = test.image(1);
  EXPECT_EQ(std::string(last.pixels.begin(), last.pixels.end()), pixels.substr(64));
}

TEST_F(FashionFolder, BadInputLeavesNothing) {
  const auto import_error = [&] {
    return error_of([&] { import_fashion_mnist(in.path(), out / "set.h5"); });
  };
  put(in / "t10k-labels-idx1-ubyte", idx({2}, "\2\x0a"));
  EXPECT_CONTAINS(import_error(), "label 10; expected 0 to 9");
  put(in / "t10k-labels-idx1-ubyte", idx({1}, "\2"));
  EXPECT_CONTAINS(import_error(), "the 't10k' images have shape [2, 4, 4], their labels [1]");
  fs::remove(in / "t10k-labels-idx1-ubyte");
  EXPECT_CONTAINS(import_error(), "dataset-fashion-mnist");
  EXPECT_EQ(out.entries(), 0);
}

TEST_F(FashionFolder, UnwritableOutput) {
  EXPECT_CONTAINS(error_of([&] { import_fashion_mnist(in.path(), out / "none/set.h5"); }),
                  "none/set.h5: No such file or directory");
  EXPECT_CONTAINS(error_of([&] { import_fashion_mnist(in.path(), "/proc/set.h5"); }),
                  "cannot write /proc/set.h5: ");
}

TEST(FashionMnist, TheDebianPackage) {
  if (!fs::exists(kFashionMnistFolder)) GTEST_SKIP() << "dataset-fashion-mnist is not installed";
  const Folder out;
  const ImportResult result = import_fashion_mnist(kFashionMnistFolder, out / "set.h5");
  EXPECT_EQ(result.info.splits,
            (std::vector<SplitRange>{{"train", 0, 60000}, {"test", 60000, 10000}}));
  EXPECT_NEAR(result.info.mean[0] / 255, 0.2860, 5e-4);  // 0.2860: the training part alone
  const DataSplit train = DataSplit::open((out / "set.h5").string(), "train");
  std::vector<int> count(10);
  for (int64_t i = 0; i < train.size(); ++i) ++count[std::size_t(train.label(i))];
  EXPECT_EQ(count, std::vector<int>(10, 6000));
}

std::string cifar_records(int count, int first) {
  std::string file;
  for (int r = 0; r < count; ++r) {
    file += char((first + r) % 10);
    for (int plane = 0; plane < 3; ++plane)
      for (int p = 0; p < 1024; ++p) file += char(plane * 80 + (first + r + p) % 64);
  }
  return file;
}

TEST(Cifar10, ArchiveAndFolderGiveTheSame) {
  const Folder in, out;
  std::string archive;
  for (int i = 0; i < 6; ++i) {
    const std::string name =
        i < 5 ? "data_batch_" + std::to_string(i + 1) + ".bin" : "test_batch.bin";
    put(in / ("folder/" + name), cifar_records(2, 2 * i));
    archive += tar_entry("cifar-10-batches-bin/" + name, cifar_records(2, 2 * i));
  }
  archive += std::string(1024, '\0');
  put(in / "cifar.tar.gz", gzip(archive));
  const auto a = import_cifar10(in / "cifar.tar.gz", out / "a.h5").info;
  const auto b = import_cifar10(in / "folder", out / "b.h5").info;
  EXPECT_EQ(a.fingerprint, b.fingerprint);
  const DataSplit test = DataSplit::open((out / "a.h5").string(), "test");
  EXPECT_EQ(test.size(), 2);
  EXPECT_EQ(test.label(1), 1);
  const Image image = test.image(1);
  EXPECT_EQ(image.row(1)[3 * 2 + 2], 160 + (11 + 34) % 64);  // y 1, x 2, blue

  fs::remove(in / "folder/data_batch_3.bin");
  EXPECT_CONTAINS(error_of([&] { import_cifar10(in / "folder", out / "c.h5"); }),
                  "does not hold data_batch_3.bin");
  put(in / "folder/data_batch_3.bin", cifar_records(2, 0).substr(1));
  EXPECT_CONTAINS(error_of([&] { import_cifar10(in / "folder", out / "c.h5"); }),
                  "multiple of 3073 bytes; got 6145");
  put(in / "folder/data_batch_3.bin", std::string(3073, '\x0b'));
  EXPECT_CONTAINS(error_of([&] { import_cifar10(in / "folder", out / "c.h5"); }), "label 11");
  EXPECT_EQ(out.entries(), 2);
}

class ImageFolder : public testing::Test {
 protected:
  void SetUp() override {
    put(in / "cats/one.jpg", test::encode_jpeg(Image(40, 20, 3, 90)));
    put(in / "cats/one.txt", "  a grey cat\n");
    for (const char* folder : {"cats/deep", "dogs"}) fs::create_directories(in / folder);
    write_png(in / "cats/deep/two.PNG", Image(10, 30, 1, 10));
    write_png(in / "dogs/three.png", Image(16, 16, 4, 0));  // transparent
    write_png(in / "loose.png", Image(16, 16, 3, 200));
    put(in / ".hidden/four.png", "not read");
    put(in / "dogs/five.webp", "not read");
  }
  std::string import_error(const ImageFolderOptions& options = {}) {
    return error_of([&] { import_image_folder(in.path(), out / "set.h5", options); });
  }
  Folder in, out;
};

TEST_F(ImageFolder, ClassesCaptionsAndSizes) {
  const ImportResult result =
      import_image_folder(in.path(), out / "set.h5", {.width = 16, .height = 16});
  EXPECT_EQ(result.info.class_names, (std::vector<std::string>{"cats", "dogs"}));
  EXPECT_EQ(result.ignored, (std::vector<std::string>{"dogs/five.webp"}));
  EXPECT_EQ(result.enlarged, 1);
  const auto data = Dataset::open(out / "set.h5");
  ASSERT_EQ(data->info().count,
            4);  // by path: cats/deep/two.PNG, cats/one.jpg, dogs/three.png, loose.png
  EXPECT_EQ(data->label(0), 0);
  EXPECT_EQ(data->label(2), 1);
  EXPECT_EQ(data->label(3), -1);
  EXPECT_EQ(data->caption(1), "a grey cat");
  EXPECT_EQ(data->caption(0), "");
  EXPECT_EQ(data->image(0), Image(16, 16, 3, 10));
  EXPECT_EQ(data->image(2), Image(16, 16, 3, 255));
  EXPECT_NEAR(data->image(1).pixels[0], 90, 1);
}

TEST_F(ImageFolder, BrokenFilesStopTheImport) {
  put(in / "dogs/bad.png", test::get(in / "loose.png").substr(0, 60));
  put(in / "cats/one.txt", "\xff\xfe");
  const std::string message = import_error();
  EXPECT_CONTAINS(message, "2 of 5 files are broken; nothing was written");
  EXPECT_CONTAINS(message, "dogs/bad.png");
  EXPECT_CONTAINS(message, "one.txt is not UTF-8");
  EXPECT_EQ(out.entries(), 0);

  const ImportResult result =
      import_image_folder(in.path(), out / "set.h5", {.width = 8, .height = 8, .skip_bad = true});
  EXPECT_EQ(result.info.count, 3);
  ASSERT_EQ(result.skipped.size(), 2u);
  EXPECT_EQ(result.skipped[1].path, "dogs/bad.png");
  EXPECT_EQ(Dataset::open(out / "set.h5")->info().count, 3);
}

TEST_F(ImageFolder, NothingToImport) {
  const Folder empty;
  EXPECT_CONTAINS(error_of([&] { import_image_folder(empty.path(), out / "set.h5"); }),
                  "holds no .png, .jpg or .jpeg file");
  EXPECT_CONTAINS(error_of([&] { import_image_folder(empty / "none", out / "set.h5"); }),
                  "is no folder");
  put(empty / "bad.png", "x");
  EXPECT_CONTAINS(
      error_of([&] { import_image_folder(empty.path(), out / "set.h5", {.skip_bad = true}); }),
      "1 of 1 files are broken");
  EXPECT_EQ(out.entries(), 0);
}

TEST_F(ImageFolder, TestPartDependsOnPathsOnly) {
  for (int i = 0; i < 60; ++i)
    write_png(in / ("dogs/" + std::to_string(i) + ".png"), Image(4, 4, 3, uint8_t(i)));
  const ImageFolderOptions options{.width = 4, .height = 4, .test_fraction = 0.25};
  const auto before = import_image_folder(in.path(), out / "a.h5", options).info;
  ASSERT_EQ(before.splits.size(), 2u);
  EXPECT_NEAR(double(before.splits[1].count), 16, 10);
  const DataSplit held_out = DataSplit::open((out / "a.h5").string(), "test");
  for (int i = 60; i < 80; ++i)
    write_png(in / ("dogs/" + std::to_string(i) + ".png"), Image(4, 4, 3, uint8_t(i)));
  import_image_folder(in.path(), out / "b.h5", options);
  const DataSplit grown = DataSplit::open((out / "b.h5").string(), "test");
  int64_t found = 0;
  for (int64_t i = 0; i < held_out.size(); ++i)
    for (int64_t j = 0; j < grown.size(); ++j) found += held_out.image(i) == grown.image(j);
  EXPECT_GE(found, held_out.size());
}

TEST(Utf8, Forms) {
  for (const char* good :
       {"", "abc", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf"})
    EXPECT_TRUE(is_utf8(good)) << good;
  for (const char* bad : {"\x80", "\xc0\xaf", "\xc3", "\xe0\x80\x80", "\xed\xa0\x80",
                          "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xff", "\xe2\x82"})
    EXPECT_FALSE(is_utf8(bad)) << bad;
}

}  // namespace
}  // namespace noisette
