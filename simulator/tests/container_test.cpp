// The container of nvcc, built in memory: what is read from a sound one, what is said of others.
#include <gtest/gtest.h>

#include <cstring>

#include "simulator/container/fatbin.h"
#ifdef SIM_HAVE_ZSTD
#include <zstd.h>
#endif
#ifdef SIM_HAVE_LZ4
#include <lz4.h>
#endif

namespace sim {
namespace {

using Bytes = std::vector<uint8_t>;
constexpr uint16_t kPtx = 1, kElf = 2;
constexpr uint64_t kLz4 = 0x2000, kZstd = 0x8000;

template <class T>
void put(Bytes& bytes, T value) {
  const auto* begin = reinterpret_cast<const uint8_t*>(&value);
  bytes.insert(bytes.end(), begin, begin + sizeof(T));
}

/// One entry, its payload padded to 8 bytes.
Bytes entry(uint16_t kind, uint32_t arch, const std::string& payload, uint64_t flags = 0,
            uint64_t uncompressed = 0) {
  Bytes bytes;
  const size_t padded = (payload.size() + 7) / 8 * 8;
  put<uint16_t>(bytes, kind);
  put<uint16_t>(bytes, 0x101);
  put<uint32_t>(bytes, 64);
  put<uint64_t>(bytes, padded);
  put<uint32_t>(bytes, flags ? uint32_t(payload.size()) : 0);
  put<uint32_t>(bytes, 0);
  put<uint16_t>(bytes, 0);
  put<uint16_t>(bytes, 9);
  put<uint32_t>(bytes, arch);
  put<uint64_t>(bytes, 0);  // offset and length of the name
  put<uint64_t>(bytes, flags);
  put<uint64_t>(bytes, 0);
  put<uint64_t>(bytes, uncompressed);
  bytes.insert(bytes.end(), payload.begin(), payload.end());
  bytes.resize(64 + padded);
  return bytes;
}

Bytes container(const std::vector<Bytes>& entries) {
  Bytes bytes;
  uint64_t size = 0;
  for (const Bytes& entry : entries) size += entry.size();
  put<uint32_t>(bytes, 0xba55ed50);
  put<uint16_t>(bytes, 1);
  put<uint16_t>(bytes, 16);
  put<uint64_t>(bytes, size);
  for (const Bytes& entry : entries) bytes.insert(bytes.end(), entry.begin(), entry.end());
  return bytes;
}

void expect_error(const Bytes& bytes, const char* says) {
  try {
    ptx_images(std::span(bytes));
    ADD_FAILURE() << "no error; expected: " << says;
  } catch (const ContainerError& error) {
    EXPECT_NE(std::string(error.what()).find(says), std::string::npos) << error.what();
  }
}

TEST(Container, ReadsPlainPtx) {
  const Bytes bytes =
      container({entry(kElf, 80,
                       "\x7f"
                       "ELF"),
                 entry(kPtx, 80, "\n\n.version 9.0\n"), entry(kPtx, 90, ".version 9.0")});
  const std::vector<PtxImage> images = ptx_images(std::span(bytes));
  ASSERT_EQ(images.size(), 2u);
  EXPECT_EQ(images[0].text, "\n\n.version 9.0\n");
  EXPECT_EQ(images[0].arch, 80u);
  EXPECT_EQ(images[1].text, ".version 9.0");  // without the padding
  EXPECT_EQ(images[1].arch, 90u);
}

TEST(Container, ReadsWhatIsRegistered) {
  struct Wrapper {
    uint32_t magic = 0x466243b1, version = 1;
    const void* data = nullptr;
    const void* unused = nullptr;
  } wrapper;
  const Bytes bytes = container({entry(kPtx, 80, "text")});
  EXPECT_THROW(ptx_images(&wrapper), ContainerError);
  wrapper.data = bytes.data();
  EXPECT_EQ(ptx_images(&wrapper).at(0).text, "text");
  EXPECT_EQ(ptx_images(static_cast<const void*>(bytes.data())).at(0).text, "text");
  Bytes misaligned(1);
  misaligned.insert(misaligned.end(), bytes.begin(), bytes.end());
  EXPECT_EQ(ptx_images(static_cast<const void*>(misaligned.data() + 1)).at(0).text, "text");
}

TEST(Container, SaysWhatToDoWithoutPtx) {
  expect_error(container({}), "holds no PTX");
  expect_error(container({entry(kElf, 90, "x"), entry(kElf, 80, "x"), entry(kElf, 80, "y")}),
               "only machine code for sm_80, sm_90; compile with -gencode");
}

TEST(Container, RefusesDamage) {
  const Bytes good = container({entry(kPtx, 80, "text"), entry(kPtx, 90, "more text")});
  for (size_t size = 0; size < good.size(); ++size)
    EXPECT_THROW(ptx_images(std::span(good).first(size)), ContainerError) << size << " bytes";
  const auto changed = [&](size_t at, auto value) {
    Bytes bytes = good;
    std::memcpy(bytes.data() + at, &value, sizeof(value));
    return bytes;
  };
  expect_error(changed(0, uint32_t(1)), "magic number");
  expect_error(changed(4, uint16_t(2)), "got version 2");
  expect_error(changed(6, uint16_t(15)), "version 1");
  expect_error(changed(6, uint16_t(0xffff)), "cut off");
  expect_error(changed(8, ~uint64_t(0)), "cut off");
  expect_error(changed(8, uint64_t(10)), "within the header of an entry");
  expect_error(changed(16 + 4, uint32_t(63)), "longer than the container");
  expect_error(changed(16 + 4, ~uint32_t(0)), "longer than the container");
  expect_error(changed(16 + 8, ~uint64_t(0)), "longer than the container");
  expect_error(changed(16 + 8, uint64_t(1000)), "longer than the container");
}

TEST(Container, PicksTheNewestThatRuns) {
  const std::vector<PtxImage> images = {{"a", 75}, {"b", 90}, {"c", 80}};
  EXPECT_EQ(pick(images, 80).text, "c");
  EXPECT_EQ(pick(images, 89).text, "c");
  EXPECT_EQ(pick(images, 75).text, "a");
  EXPECT_EQ(pick(images, 120).text, "b");
  try {
    pick(images, 70);
    ADD_FAILURE();
  } catch (const ContainerError& error) {
    EXPECT_NE(std::string(error.what())
                  .find("compute_75, compute_90, compute_80 with a device of "
                        "sm_70"),
              std::string::npos)
        << error.what();
  }
}

/// Sound, damaged in every way that the sizes allow, and cut off.
[[maybe_unused]] void check_packed(const std::string& text, const std::string& packed,
                                   uint64_t flag) {
  const Bytes bytes = container({entry(kPtx, 80, packed, flag, text.size())});
  EXPECT_EQ(ptx_images(std::span(bytes)).at(0).text, text);
  for (const uint64_t size : {text.size() - 1, text.size() + 1})
    expect_error(container({entry(kPtx, 80, packed, flag, size)}), "is damaged");
  for (const uint64_t size : {uint64_t(1) << 40, ~uint64_t(0)})
    expect_error(container({entry(kPtx, 80, packed, flag, size)}), "cannot hold");
  expect_error(container({entry(kPtx, 80, packed.substr(0, packed.size() / 2), flag, text.size())}),
               "is damaged");
  expect_error(container({entry(kPtx, 80, "", flag, text.size())}), "cannot hold");
  Bytes longer = bytes;
  const auto much = uint32_t(packed.size() + 100);
  std::memcpy(longer.data() + 16 + 16, &much, sizeof(much));
  expect_error(longer, "longer than its entry");
}

[[maybe_unused]] std::string long_text() {
  std::string text;
  for (int i = 0; i < 500; ++i) text += "\tadd.s32 %r" + std::to_string(i * i) + ", 1;\n";
  return text;
}

TEST(Container, ReadsZstd) {
#ifdef SIM_HAVE_ZSTD
  const std::string text = long_text();
  std::string packed(ZSTD_compressBound(text.size()), '\0');
  packed.resize(ZSTD_compress(packed.data(), packed.size(), text.data(), text.size(), 3));
  check_packed(text, packed, kZstd);
#else
  expect_error(container({entry(kPtx, 80, "x", kZstd, 1)}), "compile with -no-compress");
#endif
}

TEST(Container, ReadsLz4) {
#ifdef SIM_HAVE_LZ4
  const std::string text = long_text();
  std::string packed(size_t(LZ4_compressBound(int(text.size()))), '\0');
  packed.resize(size_t(
      LZ4_compress_default(text.data(), packed.data(), int(text.size()), int(packed.size()))));
  check_packed(text, packed, kLz4);
#else
  expect_error(container({entry(kPtx, 80, "x", kLz4, 1)}), "compile with -no-compress");
#endif
}

}  // namespace
}  // namespace sim
