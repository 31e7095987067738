#include "framework/io/safetensors.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>

#include "framework/core/check.h"
#include "framework/io/atomic_file.h"
#include "framework/io/safetensors_header.h"

namespace noisette {
namespace fs = std::filesystem;
using safetensors::find_type;
using safetensors::Header;
using safetensors::HeaderEntry;
using safetensors::printable;
using safetensors::TypeInfo;
namespace {

constexpr uint64_t kMaxHeader = 100'000'000;

/// Bytes that `shape` elements of `type` take; an Error when that overflows or is not whole.
int64_t byte_size(const std::vector<int64_t>& shape, const TypeInfo& type, const std::string& name,
                  const std::string& origin) {
  int64_t bits = type.bits;
  bool fits = true;
  for (int64_t extent : shape) fits = fits && !__builtin_mul_overflow(bits, extent, &bits);
  check_user(fits, "[safetensors] {}: tensor {} has an impossible size; got shape {}", origin,
             printable(name), Shape(shape));
  check_user(bits % 8 == 0, "[safetensors] {}: tensor {} must fill whole bytes; got {} bits of {}",
             origin, printable(name), bits, type.name);
  return bits / 8;
}

/// The spans of all tensors, in the order of the file, must cover the buffer without gap or
/// overlap.
void check_tiling(std::vector<HeaderEntry>& entries, int64_t buffer, const std::string& origin) {
  std::sort(entries.begin(), entries.end(), [](const HeaderEntry& a, const HeaderEntry& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  int64_t cursor = 0;
  for (const HeaderEntry& e : entries) {
    check_user(e.begin <= e.end, "[safetensors] {}: tensor {} ends before it begins; got [{}, {})",
               origin, printable(e.name), e.begin, e.end);
    check_user(
        e.end <= buffer,
        "[safetensors] {}: tensor {} lies outside the file; got [{}, {}) with {} bytes of data",
        origin, printable(e.name), e.begin, e.end, buffer);
    check_user(e.begin == cursor, "[safetensors] {}: tensor {} {}; got it at byte {}, expected {}",
               origin, printable(e.name),
               e.begin < cursor ? "overlaps another" : "leaves a hole before it", e.begin, cursor);
    cursor = e.end;
  }
  check_user(cursor == buffer, "[safetensors] {}: {} bytes follow the last tensor", origin,
             buffer - cursor);
}

std::string_view header_text(std::span<const std::byte> file, const std::string& origin) {
  check_user(file.size() >= 8,
             "[safetensors] {}: the file is shorter than its 8-byte length field; got {} bytes",
             origin, file.size());
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  check_user(
      !text.starts_with("PK\x03\x04") && !text.starts_with("\x80\x02"),
      "[safetensors] {}: this is a PyTorch pickle, which can run code and is not read; save the "
      "model as safetensors",
      origin);
  uint64_t length = 0;
  std::memcpy(&length, file.data(), sizeof length);
  check_user(length <= kMaxHeader,
             "[safetensors] {}: the header is too long; got {} bytes, at most {}", origin, length,
             kMaxHeader);
  check_user(
      length <= file.size() - 8,
      "[safetensors] {}: the header reaches past the end of the file; got {} bytes of header in a "
      "file of {}",
      origin, length, file.size());
  const std::string_view header = text.substr(8, length);
  check_user(header.starts_with('{'), "[safetensors] {}: the header must begin with '{{'", origin);
  return header;
}

}  // namespace

std::optional<DType> SafetensorsEntry::element_type() const {
  const TypeInfo* row = find_type(dtype);
  return row ? row->dtype : std::nullopt;
}

int64_t count_non_finite(const SafetensorsEntry& entry) {
  // A value is NaN or infinite when all bits of its exponent are set.
  const auto count = [&]<class U>(U exponent) {
    int64_t n = 0;
    for (std::size_t i = 0; i + sizeof(U) <= entry.bytes.size(); i += sizeof(U)) {
      U bits;
      std::memcpy(&bits, entry.bytes.data() + i, sizeof bits);
      n += (bits & exponent) == exponent;
    }
    return n;
  };
  if (entry.dtype == "F32") return count(uint32_t(0x7f800000));
  if (entry.dtype == "F64") return count(uint64_t(0x7ff0000000000000));
  if (entry.dtype == "BF16") return count(uint16_t(0x7f80));
  if (entry.dtype == "F16") return count(uint16_t(0x7c00));
  return 0;
}

SafetensorsFile SafetensorsFile::parse(std::span<const std::byte> file, const std::string& origin) {
  const std::string_view text = header_text(file, origin);
  Header header = safetensors::parse_header(text, origin);
  const std::span<const std::byte> data = file.subspan(8 + text.size());
  check_tiling(header.entries, int64_t(data.size()), origin);

  SafetensorsFile result;
  result.origin_ = origin;
  result.metadata_ = std::move(header.metadata);
  for (HeaderEntry& e : header.entries) {
    const TypeInfo* type = find_type(e.dtype);
    check_user(type != nullptr, "[safetensors] {}: tensor {} has the unknown dtype {}", origin,
               printable(e.name), printable(e.dtype));
    const int64_t bytes = byte_size(e.shape, *type, e.name, origin);
    check_user(bytes == e.end - e.begin,
               "[safetensors] {}: tensor {} of shape {} and dtype {} takes {} bytes; got {}",
               origin, printable(e.name), Shape(e.shape), e.dtype, bytes, e.end - e.begin);
    result.entries_.push_back({std::move(e.name), std::move(e.dtype), Shape(std::move(e.shape)),
                               data.subspan(std::size_t(e.begin), std::size_t(bytes))});
  }
  std::sort(result.entries_.begin(), result.entries_.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  return result;
}

SafetensorsFile SafetensorsFile::open(const fs::path& path) {
  const std::string origin = path.string();
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  check_user(fd >= 0, "[safetensors] cannot read {}: {}", origin, std::strerror(errno));
  struct stat info {};
  const bool regular = fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
  const std::size_t size = regular ? std::size_t(info.st_size) : 0;
  void* address = size ? mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0) : nullptr;
  const int error = errno;
  close(fd);
  check_user(regular, "[safetensors] cannot read {}: it is no regular file", origin);
  check_user(address != MAP_FAILED, "[safetensors] cannot map {}: {}", origin,
             std::strerror(error));

  std::shared_ptr<const void> mapping(address, [size](const void* p) {
    if (p) munmap(const_cast<void*>(p), size);
  });
  SafetensorsFile file = parse({static_cast<const std::byte*>(address), size}, origin);
  file.mapping_ = std::move(mapping);
  return file;
}

const SafetensorsEntry* SafetensorsFile::find(std::string_view name) const {
  const auto it = std::lower_bound(entries_.begin(), entries_.end(), name,
                                   [](const auto& e, std::string_view n) { return e.name < n; });
  return it != entries_.end() && it->name == name ? &*it : nullptr;
}

const SafetensorsEntry& SafetensorsFile::at(std::string_view name) const {
  const SafetensorsEntry* entry = find(name);
  if (entry) return *entry;
  std::string known;
  for (std::size_t i = 0; i < std::min<std::size_t>(entries_.size(), 8); ++i)
    known += (i ? ", " : "") + printable(entries_[i].name);
  throw Error(fmt::format("[safetensors] {}: no tensor {}; it holds {} tensors: {}{}", origin_,
                          printable(name), entries_.size(), known,
                          entries_.size() > 8 ? ", ..." : ""));
}

SafetensorsModel SafetensorsModel::open(const fs::path& path) {
  SafetensorsModel model;
  if (!path.filename().string().ends_with(".index.json")) {
    model.files_.push_back(SafetensorsFile::open(path));
    return model;
  }

  const std::string origin = path.string();
  const auto index = safetensors::parse_index(read_text(path, int64_t(kMaxHeader)), origin);
  std::set<std::string> shards;
  for (const auto& [tensor, shard] : index) {
    const bool plain = !shard.empty() && shard != "." && shard != ".." &&
                       shard.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
    check_user(plain,
               "[safetensors] {}: {} is said to be in {}, which is no file name in this folder",
               origin, printable(tensor), printable(shard));
    shards.insert(shard);
  }
  std::map<std::string_view, std::string> seen;
  for (const std::string& shard : shards) {
    model.files_.push_back(SafetensorsFile::open(path.parent_path() / shard));
    for (const SafetensorsEntry& e : model.files_.back().entries()) {
      const auto [other, fresh] = seen.emplace(e.name, shard);
      check_user(fresh, "[safetensors] {}: tensor {} is in two shards, {} and {}", origin,
                 printable(e.name), other->second, shard);
      const auto listed = index.find(e.name);
      check_user(listed != index.end() && listed->second == shard,
                 "[safetensors] {}: tensor {} is in {}, but the index {}", origin,
                 printable(e.name), shard,
                 listed == index.end() ? "does not list it" : "says it is in " + listed->second);
    }
  }
  for (const auto& [tensor, shard] : index)
    check_user(seen.contains(tensor),
               "[safetensors] {}: tensor {} is listed, but {} does not hold it", origin,
               printable(tensor), shard);
  return model;
}

std::vector<const SafetensorsEntry*> SafetensorsModel::entries() const {
  std::vector<const SafetensorsEntry*> all;
  for (const SafetensorsFile& file : files_)
    for (const SafetensorsEntry& e : file.entries()) all.push_back(&e);
  std::sort(all.begin(), all.end(), [](auto* a, auto* b) { return a->name < b->name; });
  return all;
}

const SafetensorsEntry* SafetensorsModel::find(std::string_view name) const {
  for (const SafetensorsFile& file : files_)
    if (const SafetensorsEntry* entry = file.find(name)) return entry;
  return nullptr;
}

}  // namespace noisette
