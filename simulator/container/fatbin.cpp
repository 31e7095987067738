#include "simulator/container/fatbin.h"

#include <algorithm>
#include <cstring>

#include "simulator/container/unpack.h"

namespace sim {
namespace {

constexpr uint32_t kWrapperMagic = 0x466243b1;
constexpr uint32_t kMagic = 0xba55ed50;
enum Kind : uint16_t { kPtx = 1, kElf = 2 };
enum Flag : uint64_t { kLz4 = 0x2000, kZstd = 0x8000 };

struct Wrapper {
  uint32_t magic, version;
  const void* data;
  const void* unused;
};

struct Header {
  uint32_t magic;
  uint16_t version, header_bytes;
  uint64_t bytes;  // that follow
};
static_assert(sizeof(Header) == 16);

struct Entry {
  uint16_t kind, version;
  uint32_t header_bytes;
  uint64_t payload_bytes;  // with padding
  uint32_t compressed_bytes, options_offset;
  uint16_t ptx_minor, ptx_major;
  uint32_t arch, name_offset, name_bytes;
  uint64_t flags, zero, uncompressed_bytes;
};
static_assert(sizeof(Entry) == 64);

/// Copies, as nothing says that the bytes are aligned.
template <class T>
T read(std::span<const uint8_t> bytes, const char* what) {
  if (bytes.size() < sizeof(T))
    throw ContainerError(std::string("[fatbin] the container ends within ") + what);
  T value;
  std::memcpy(&value, bytes.data(), sizeof(T));
  return value;
}

Header read_header(std::span<const uint8_t> bytes) {
  const Header header = read<Header>(bytes, "its header");
  if (header.magic != kMagic)
    throw ContainerError("[fatbin] not a container of nvcc: its magic number is wrong");
  if (header.version != 1 || header.header_bytes < sizeof(Header))
    throw ContainerError("[fatbin] containers of version 1 are supported; got version " +
                         std::to_string(header.version));
  return header;
}

std::string text_of(const Entry& entry, std::span<const uint8_t> payload) {
  const bool packed = entry.flags & (kZstd | kLz4);
  if (packed && entry.compressed_bytes > payload.size())
    throw ContainerError("[fatbin] compressed PTX is longer than its entry");
  std::string text;
  if (entry.flags & kZstd) {
    text = unpack_zstd(payload.first(entry.compressed_bytes), entry.uncompressed_bytes);
  } else if (entry.flags & kLz4) {
    text = unpack_lz4(payload.first(entry.compressed_bytes), entry.uncompressed_bytes);
  } else {
    text.assign(payload.begin(), payload.end());
  }
  text.resize(std::min(text.find('\0'), text.size()));  // the padding
  return text;
}

[[noreturn]] void fail_without_ptx(std::vector<uint32_t> machine_code) {
  if (machine_code.empty()) throw ContainerError("[fatbin] the container holds no PTX");
  std::sort(machine_code.begin(), machine_code.end());
  machine_code.erase(std::unique(machine_code.begin(), machine_code.end()), machine_code.end());
  std::string list;
  for (const uint32_t arch : machine_code)
    list += (list.empty() ? "sm_" : ", sm_") + std::to_string(arch);
  throw ContainerError("[fatbin] the program holds only machine code for " + list +
                       "; compile with -gencode arch=compute_80,code=compute_80 or "
                       "-arch=compute_80 to embed PTX");
}

}  // namespace

std::vector<PtxImage> ptx_images(const void* container) {
  uint32_t magic = 0;
  std::memcpy(&magic, container, sizeof(magic));
  if (magic == kWrapperMagic) {
    Wrapper wrapper;
    std::memcpy(&wrapper, container, sizeof(wrapper));
    container = wrapper.data;
    if (!container) throw ContainerError("[fatbin] the program registered no container");
  }
  const auto* bytes = static_cast<const uint8_t*>(container);
  const Header header = read_header({bytes, sizeof(Header)});
  return ptx_images(std::span(bytes, header.header_bytes + header.bytes));
}

std::vector<PtxImage> ptx_images(std::span<const uint8_t> container) {
  const Header header = read_header(container);
  container = container.subspan(std::min<size_t>(header.header_bytes, container.size()));
  if (header.bytes > container.size())
    throw ContainerError("[fatbin] the container is cut off: " + std::to_string(header.bytes) +
                         " bytes are announced, " + std::to_string(container.size()) +
                         " are there");
  container = container.first(header.bytes);

  std::vector<PtxImage> images;
  std::vector<uint32_t> machine_code;
  while (!container.empty()) {
    const Entry entry = read<Entry>(container, "the header of an entry");
    if (entry.header_bytes < sizeof(Entry) || entry.header_bytes > container.size() ||
        entry.payload_bytes > container.size() - entry.header_bytes)
      throw ContainerError("[fatbin] an entry is longer than the container");
    const auto payload = container.subspan(entry.header_bytes, entry.payload_bytes);
    if (entry.kind == kPtx) images.push_back({text_of(entry, payload), entry.arch});
    if (entry.kind == kElf) machine_code.push_back(entry.arch);
    container = container.subspan(entry.header_bytes + entry.payload_bytes);
  }
  if (images.empty()) fail_without_ptx(std::move(machine_code));
  return images;
}

const PtxImage& pick(const std::vector<PtxImage>& images, uint32_t device_arch) {
  const PtxImage* best = nullptr;
  std::string list;
  for (const PtxImage& image : images) {
    list += (list.empty() ? "compute_" : ", compute_") + std::to_string(image.arch);
    if (image.arch <= device_arch && (!best || image.arch > best->arch)) best = &image;
  }
  if (best) return *best;
  throw ContainerError("[fatbin] PTX must be for the device's architecture or an older one; got " +
                       list + " with a device of sm_" + std::to_string(device_arch));
}

}  // namespace sim
