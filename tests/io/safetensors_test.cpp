#include "framework/io/safetensors.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "tests/io/files.h"

namespace noisette {
namespace {
using test::error_of;
using test::Folder;
using test::put;

std::string container(const std::string& header, const std::string& data, int64_t length = -1) {
  const uint64_t n = length < 0 ? header.size() : uint64_t(length);
  std::string file(8, '\0');
  std::memcpy(file.data(), &n, 8);
  return file + header + data;
}

std::string entry(const std::string& fields) { return "{\"t\":{" + fields + "}}"; }
const std::string kFour = R"("dtype":"F32","shape":[1],"data_offsets":[0,4])";

struct Reject {
  std::string name, file, reason;
};

class SafetensorsRejects : public testing::TestWithParam<Reject> {};

TEST_P(SafetensorsRejects, WithFileAndReason) {
  const Folder folder;
  const auto path = folder / "bad.safetensors";
  put(path, GetParam().file);
  const std::string message = error_of([&] { SafetensorsFile::open(path); });
  EXPECT_CONTAINS(message, GetParam().reason);
  EXPECT_CONTAINS(message, path.string());
  EXPECT_EQ(message.find(".cpp:"), message.npos) << "a line of our source: " << message;
  for (unsigned char c : message) EXPECT_TRUE(c >= 0x20 && c < 0x7f) << message;
}

const std::string d4(4, 'x'), d8(8, 'x');
const std::vector<Reject> kRejects = {
    {"Empty", "", "shorter than its 8-byte"},
    {"SevenBytes", std::string(7, '\1'), "shorter than its 8-byte"},
    {"HeaderOverCap", container("{}", "", 100'000'001), "too long"},
    {"HeaderLengthOverflows", container("{}", "", INT64_MAX), "too long"},
    {"HeaderPastEnd", container("{}", "", 3), "past the end"},
    {"HeaderEmpty", container("", ""), "begin with '{'"},
    {"HeaderArray", container("[]", ""), "begin with '{'"},
    {"HeaderLeadingSpace", container(" {}", ""), "begin with '{'"},
    {"HeaderCut", container("{\"t\":", ""), "not valid JSON"},
    {"HeaderTrailing", container("{}{}", ""), "not valid JSON"},
    {"HeaderNotUtf8", container("{\"\xff\":{" + kFour + "}}", d4),
     "ill-formed UTF-8 byte; last read: '\"\\xff'"},
    {"HeaderNul", container(std::string("{}\0", 3), ""), "not valid JSON"},
    {"Pickle", "PK\x03\x04 and more bytes", "pickle"},
    {"NameTwice", container("{\"t\":{" + kFour + "},\"t\":{" + kFour + "}}", d4), "'t' twice"},
    {"MetadataTwice", container(R"({"__metadata__":{},"__metadata__":{}})", ""), "twice"},
    {"MetadataKeyTwice", container(R"({"__metadata__":{"a":"1","a":"2"}})", ""), "'a' twice"},
    {"MetadataNumber", container(R"({"__metadata__":{"a":1}})", ""), "cannot be the number"},
    {"MetadataNested", container(R"({"__metadata__":{"a":{}}})", ""), "cannot be an object"},
    {"MetadataNull", container(R"({"__metadata__":null})", ""), "cannot be null"},
    {"EntryNumber", container(R"({"t":1})", ""), "cannot be the number 1"},
    {"EntryList", container(R"({"t":[]})", ""), "cannot be an array"},
    {"FieldTwice", container(entry(kFour + R"(,"dtype":"F32")"), d4), "twice"},
    {"FieldUnknown", container(entry(kFour + R"(,"strides":[1])"), d4), "unknown field 'strides'"},
    {"DtypeAbsent", container(entry(R"("shape":[],"data_offsets":[0,4])"), d4), "lacks dtype"},
    {"ShapeAbsent", container(entry(R"("dtype":"F32","data_offsets":[0,4])"), d4), "lacks shape"},
    {"OffsetsAbsent", container(entry(R"("dtype":"F32","shape":[1])"), d4), "lacks data_offsets"},
    {"DtypeUnknown", container(entry(R"("dtype":"F31","shape":[1],"data_offsets":[0,4])"), d4),
     "unknown dtype 'F31'"},
    {"DtypeNumber", container(entry(R"("dtype":32,"shape":[1],"data_offsets":[0,4])"), d4),
     "dtype of tensor 't'"},
    {"ShapeNested", container(entry(R"("dtype":"F32","shape":[[1]],"data_offsets":[0,4])"), d4),
     "cannot be an array"},
    {"ShapeNegative", container(entry(R"("dtype":"F32","shape":[-1],"data_offsets":[0,4])"), d4),
     "negative number -1"},
    {"ShapeFraction", container(entry(R"("dtype":"F32","shape":[1.0],"data_offsets":[0,4])"), d4),
     "cannot be the number '1.0'"},
    {"ShapeHuge",
     container(entry(R"("dtype":"F32","shape":[9007199254740993],"data_offsets":[0,4])"), d4),
     "2^53"},
    {"ShapeBeyondUint64",
     container(entry(R"("dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,4])"), d4),
     "cannot be the number"},
    {"ShapeOverflows",
     container(entry(R"("dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4])"), d4),
     "impossible size"},
    {"SizeDiffers", container(entry(R"("dtype":"F32","shape":[2],"data_offsets":[0,4])"), d4),
     "takes 8 bytes; got 4"},
    {"HalfBytes", container(entry(R"("dtype":"F4","shape":[7],"data_offsets":[0,4])"), d4),
     "whole bytes"},
    {"OffsetsOne", container(entry(R"("dtype":"F32","shape":[1],"data_offsets":[0])"), d4),
     "must hold 2 numbers; got 1"},
    {"OffsetsThree", container(entry(R"("dtype":"F32","shape":[1],"data_offsets":[0,4,4])"), d4),
     "must hold 2 numbers; got 3"},
    {"OffsetsNegative", container(entry(R"("dtype":"F32","shape":[1],"data_offsets":[-4,0])"), d4),
     "negative"},
    {"OffsetsBackward", container(entry(R"("dtype":"F32","shape":[1],"data_offsets":[4,0])"), d4),
     "ends before it begins"},
    {"OffsetsOutside", container(entry(R"("dtype":"F32","shape":[2],"data_offsets":[0,8])"), d4),
     "outside the file"},
    {"OffsetsTrail", container(entry(kFour), d8), "4 bytes follow the last tensor"},
    {"OffsetsLeadingHole",
     container(entry(R"("dtype":"F32","shape":[1],"data_offsets":[4,8])"), d8), "leaves a hole"},
    {"OffsetsOverlap",
     container(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
               R"("b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}})",
               "xxxxxx"),
     "overlaps"},
    {"OffsetsSame",
     container(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
               R"("b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
               d4),
     "overlaps"},
    {"EmptyTensorInside",
     container(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
               R"("b":{"dtype":"F32","shape":[0],"data_offsets":[2,2]}})",
               d4),
     "overlaps"},
    {"NoTensorsButData", container("{}", d4), "4 bytes follow"},
};
INSTANTIATE_TEST_SUITE_P(Files, SafetensorsRejects, testing::ValuesIn(kRejects),
                         [](const auto& info) { return info.param.name; });

TEST(Safetensors, RejectsFoldersAndMissingFiles) {
  const Folder folder;
  EXPECT_CONTAINS(error_of([&] { SafetensorsFile::open(folder / "none.safetensors"); }),
                  "No such file");
  EXPECT_CONTAINS(error_of([&] { SafetensorsFile::open(folder.path()); }), "no regular file");
}

TEST(Safetensors, AcceptsWhatTheFormatAllows) {
  const std::string file = container(
      R"({"scalar":{"dtype":"BF16","shape":[],"data_offsets":[1,3]},)"
      R"("empty":{"dtype":"F64","shape":[3,0],"data_offsets":[1,1]},)"
      R"("odd":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
      R"("nibbles":{"dtype":"F4","shape":[2,3],"data_offsets":[3,6]},"__metadata__":{"k":"v"}}   )",
      "abcdef");
  const SafetensorsFile st = SafetensorsFile::parse(test::bytes_of(file), "memory");
  ASSERT_EQ(st.entries().size(), 4u);
  EXPECT_EQ(st.at("scalar").shape, Shape{});
  EXPECT_EQ(st.at("scalar").element_type(), DType::bf16);
  EXPECT_EQ(st.at("scalar").bytes.size(), 2u);
  EXPECT_EQ(st.at("empty").bytes.size(), 0u);
  EXPECT_EQ(st.at("odd").bytes[0], std::byte('a'));
  EXPECT_EQ(st.at("nibbles").element_type(), std::nullopt);
  EXPECT_EQ(st.metadata().at("k"), "v");
  EXPECT_EQ(st.find("absent"), nullptr);
  EXPECT_CONTAINS(error_of([&] { st.at("absent"); }), "'empty', 'nibbles', 'odd', 'scalar'");
}

TEST(Safetensors, AcceptsNoTensors) {
  const std::string file = container("{}      ", "");
  EXPECT_TRUE(SafetensorsFile::parse(test::bytes_of(file), "memory").entries().empty());
}

TEST(Safetensors, EscapesHostileNamesInErrors) {
  const std::string file = container(R"({"a\u001b[31m":1})", "");
  const std::string message =
      error_of([&] { SafetensorsFile::parse(test::bytes_of(file), "memory"); });
  EXPECT_CONTAINS(message, "a\\x1b[31m");
}

/// Tensors whose file is also tests/io/reference.safetensors, written by tests/io/reference.py.
std::vector<SafetensorsEntry> sample_entries(const std::vector<float>& f, const std::string& raw) {
  const auto floats = std::as_bytes(std::span(f));
  const auto bytes = test::bytes_of(raw);
  static const std::byte one[1] = {std::byte(1)};
  const std::span<const std::byte> flag(one);
  return {{"b.weight", "F32", {2, 3}, floats},
          {"a.bias", "F32", {}, floats.first(4)},
          {"steps", "I64", {2}, bytes},
          {"double", "F64", {2}, bytes},
          {"complex", "C64", {2}, bytes},
          {"unsigned", "U64", {2}, bytes},
          {"half", "F16", {3}, bytes.first(6)},
          {"brain", "BF16", {2, 0}, {}},
          {"flag", "BOOL", {1}, flag},
          {"fp8", "F8_E4M3", {3}, bytes.first(3)},
          {"fp8b", "F8_E5M2", {3}, bytes.first(3)},
          {"pixels", "U8", {5}, bytes.first(5)},
          {"small", "I8", {2}, bytes.first(2)},
          {"u32", "U32", {1}, bytes.first(4)},
          {"i32", "I32", {1}, bytes.first(4)},
          {"i16", "I16", {1}, bytes.first(2)},
          {"u16", "U16", {1}, bytes.first(2)}};
}

TEST(Safetensors, WritesTheBytesOfTheReferenceWriter) {
  const Folder folder;
  const std::vector<float> f{0, 1, -2, 3.5f, 1e-30f, 6};
  const auto path = folder / "own.safetensors";
  write_safetensors(path, sample_entries(f, "0123456789abcdef"), {{"format", "pt"}});
  const std::string reference = NOISETTE_SOURCE_DIR "/tests/io/reference.safetensors";
  EXPECT_EQ(test::get(path), test::get(reference));
}

TEST(Safetensors, RoundTripIsByteEqual) {
  const Folder folder;
  const std::vector<float> f{0, 1, -2, 3.5f, 1e-30f, 6};
  write_safetensors(folder / "a", sample_entries(f, "0123456789abcdef"),
                    {{"x", "\"quoted\"\n"}, {"\xc3\xa9", "\xe2\x82\xac"}});
  const SafetensorsFile read = SafetensorsFile::open(folder / "a");
  EXPECT_EQ(read.metadata().at("x"), "\"quoted\"\n");
  EXPECT_EQ(std::memcmp(read.at("b.weight").bytes.data(), f.data(), 24), 0);
  write_safetensors(folder / "b", read.entries(), read.metadata());
  EXPECT_EQ(test::get(folder / "a"), test::get(folder / "b"));
  EXPECT_EQ(folder.entries(), 2);
}

TEST(Safetensors, WriterRefusesWhatReadersWould) {
  const Folder folder;
  const std::string raw(8, 'x');
  const auto write = [&](std::vector<SafetensorsEntry> entries) {
    return error_of([&] { write_safetensors(folder / "f", std::move(entries)); });
  };
  const auto bytes = test::bytes_of(raw);
  EXPECT_CONTAINS(write({{"a", "F32", {3}, bytes}}), "takes 96 bits; got 8 bytes");
  EXPECT_CONTAINS(write({{"a", "F32", {2}, bytes}, {"a", "F32", {2}, bytes}}), "two tensors");
  EXPECT_CONTAINS(write({{"a", "F99", {2}, bytes}}), "unknown dtype");
  EXPECT_CONTAINS(write({{"__metadata__", "F32", {2}, bytes}}), "__metadata__");
  EXPECT_CONTAINS(write({{"\xff", "F32", {2}, bytes}}), "UTF-8");
  EXPECT_EQ(folder.entries(), 0);
}

TEST(Safetensors, CountsNonFiniteValues) {
  const std::vector<float> f{1, INFINITY, -INFINITY, NAN, 3e38f, 0};
  EXPECT_EQ(count_non_finite({"t", "F32", {6}, std::as_bytes(std::span(f))}), 3);
  EXPECT_EQ(count_non_finite({"t", "U8", {24}, std::as_bytes(std::span(f))}), 0);
  const std::vector<uint16_t> h{0x7c00, 0x7bff, 0xfe01, 0x7f80};
  EXPECT_EQ(count_non_finite({"t", "F16", {4}, std::as_bytes(std::span(h))}), 3);
  EXPECT_EQ(count_non_finite({"t", "BF16", {4}, std::as_bytes(std::span(h))}), 1);
}

class Shards : public testing::Test {
 protected:
  void SetUp() override {
    write_safetensors(folder / "m-1.safetensors", {{"a", "F32", {1}, test::bytes_of(raw)}});
    write_safetensors(folder / "m-2.safetensors", {{"b", "F32", {1}, test::bytes_of(raw)}});
  }
  std::string open_error(const std::string& weight_map) {
    put(index,
        R"({"metadata":{"total_size":8,"x":[1,{"y":null}]},"weight_map":)" + weight_map + "}");
    return error_of([&] { SafetensorsModel::open(index); });
  }
  Folder folder;
  std::string raw = "0123";
  std::filesystem::path index = folder / "m.safetensors.index.json";
};

TEST_F(Shards, OpenAsOneModel) {
  put(index,
      R"({"metadata":{"total_size":8},"weight_map":{"b":"m-2.safetensors","a":"m-1.safetensors"}})");
  const SafetensorsModel model = SafetensorsModel::open(index);
  ASSERT_EQ(model.entries().size(), 2u);
  EXPECT_EQ(model.entries()[0]->name, "a");
  EXPECT_NE(model.find("b"), nullptr);
  EXPECT_EQ(model.find("c"), nullptr);
}

TEST_F(Shards, RejectPathsOutOfTheFolder) {
  for (const char* name : {"/etc/passwd", "../m-1.safetensors", "..", ".", "", "x/m-1.safetensors",
                           "x\\\\m-1.safetensors", "m-1.safetensors\\u0000"})
    EXPECT_CONTAINS(open_error(std::string(R"({"a":")") + name + "\"}"),
                    "no file name in this folder");
}

TEST_F(Shards, RejectDisagreement) {
  EXPECT_CONTAINS(open_error(R"({"a":"m-1.safetensors","c":"m-1.safetensors"})"),
                  "'c' is listed, but m-1.safetensors does not hold it");
  EXPECT_CONTAINS(open_error(R"({"c":"m-1.safetensors"})"), "does not list it");
  EXPECT_CONTAINS(open_error(R"({"a":"m-3.safetensors"})"), "No such file");
  EXPECT_CONTAINS(open_error(R"({"a":"m-1.safetensors","a":"m-2.safetensors"})"), "'a' twice");
  EXPECT_CONTAINS(open_error(R"({"a":1})"), "cannot be a number");
  EXPECT_CONTAINS(open_error("[]"), "an array");
  std::filesystem::copy(folder / "m-1.safetensors", folder / "m-3.safetensors");
  EXPECT_CONTAINS(open_error(R"({"a":"m-1.safetensors","b":"m-3.safetensors"})"), "two shards");
  put(index, "{}");
  EXPECT_CONTAINS(error_of([&] { SafetensorsModel::open(index); }), "no weight_map");
}

}  // namespace
}  // namespace noisette
