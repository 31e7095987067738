#include "simulator/memory/transfer.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "simulator/device/settings.h"
#include "simulator/memory/lazy_shadow.h"
#include "simulator/memory/memory.h"
#include "simulator/memory/origins.h"
#include "simulator/memory/padding.h"
#include "simulator/report/fault.h"

namespace sim {
namespace {

std::string hex(uint64_t address) {
  char text[32];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(address));
  return text;
}

/// The first of `bytes` bytes whose shadow lacks a bit of `need`; `bytes` if there is none.
size_t first_without(uint64_t address, size_t bytes, uint8_t need) {
  constexpr size_t kChunk = 4096;
  const uint8_t* s = shadow(address);
  for (size_t begin = 0; begin < bytes; begin += kChunk) {
    const size_t end = std::min(bytes, begin + kChunk);
    uint8_t missing = 0;  // as a number of its own: the loop vectorises
    for (size_t i = begin; i < end; i++) missing |= uint8_t(~s[i] & need);
    if (missing == 0) continue;
    for (size_t i = begin; i < end; i++)
      if ((s[i] & need) != need) return i;
  }
  return bytes;
}

std::string said(const char* call, bool writes, uint64_t address, size_t bytes) {
  return std::string(call) + (writes ? " writes " : " reads ") + std::to_string(bytes) +
         (bytes == 1 ? " byte" : " bytes") + " at " + hex(address);
}

void check_addressable(const char* call, bool writes, uint64_t address, size_t bytes) {
  if (bytes > kWindow || !in_device_window(address + bytes - 1))
    report_access(call, writes, address, bytes);
  if (first_without(address, bytes, kAddressable) != bytes)
    report_access(call, writes, address, bytes);
}

void check_written(const char* call, uint64_t address, size_t bytes) {
  const size_t at = first_without(address, bytes, kReady);
  if (at == bytes || is_padding(shadow(address), bytes)) return;
  if (const auto origin = origin_of(address + at)) {
    Fault fault = *origin;
    fault.details += ", and " + std::string(call) + " gives it to the host";
    throw fault;
  }
  Fault fault;
  fault.kind = "read of uninitialised memory";
  fault.details = said(call, false, address, bytes) + "; the first that nothing has written is " +
                  describe_address(address + at);
  throw fault;
}

uint8_t* pointer(uint64_t address) {
  return in_device_window(address) ? raw(address) : reinterpret_cast<uint8_t*>(address);
}

/// Memory that the host may touch counts as written at all times.
bool host_memory(uint64_t address) {
  if (!in_device_window(address)) return true;
  const auto a = find_allocation(address);
  return a && (a->kind == MemoryKind::pinned || a->kind == MemoryKind::managed);
}

void copy_row(const Copy& c, uint64_t dst, uint64_t src, bool to_host) {
  const size_t n = c.box.width;
  const bool dst_device = in_device_window(dst), src_device = in_device_window(src);
  if (settings().checks) {
    if (src_device) check_addressable(c.call, false, src, n);
    if (dst_device) check_addressable(c.call, true, dst, n);
    if (src_device && to_host) check_written(c.call, src, n);
  }
  std::memmove(pointer(dst), pointer(src), n);
  if (to_host) return;
  if (src_device) {
    std::memmove(shadow(dst), shadow(src), n);
    forget_summary(dst, n);
  } else {
    mark_written(dst, n);
  }
}

void fill_row(const Fill& f, uint64_t dst) {
  const size_t n = f.box.width;
  const bool device = in_device_window(dst);
  if (settings().checks && device) check_addressable(f.call, true, dst, n);
  uint8_t* out = pointer(dst);
  if (f.element == 1) {
    std::memset(out, int(f.value & 0xff), n);
  } else {
    for (size_t i = 0; i + f.element <= n; i += f.element)
      std::memcpy(out + i, &f.value, f.element);
  }
  if (device) mark_written(dst, n);
}

/// One long row where the rows follow each other without gaps.
template <class Transfer>
void flatten(Transfer& t, std::initializer_list<const Place*> places) {
  const size_t width = t.box.width, height = t.box.height;
  auto dense = [&](const Place* p) {
    return (height == 1 || p->pitch == width) && (t.box.depth == 1 || p->slice == width * height);
  };
  if (std::all_of(places.begin(), places.end(), dense)) t.box = {t.box.bytes(), 1, 1};
}

}  // namespace

void report_access(const char* call, bool writes, uint64_t address, size_t bytes) {
  size_t at = 0;
  if (bytes <= kWindow && in_device_window(address) && in_device_window(address + bytes - 1))
    at = first_without(address, bytes, kAddressable);
  else if (const auto a = find_allocation(address))
    at = a->base + a->bytes - address;
  if (at == bytes) at = 0;
  Fault fault;
  const bool freed = in_device_window(address + at) && *shadow(address + at) == kFreed;
  fault.kind = freed ? "use after free" : "out of bounds";
  fault.details = said(call, writes, address, bytes) + "; the first that it may not touch is " +
                  describe_address(address + at);
  throw fault;
}

bool within_allocation(const Place& place, const Box& box) {
  if (box.bytes() == 0) return true;
  const uint64_t last = place.row(box.height - 1, box.depth - 1) + box.width;
  if (!in_device_window(place.address)) return !in_device_window(last - 1);
  const auto a = find_allocation(place.address);
  return a && last >= place.address && last <= a->base + a->bytes;
}

void run_copy(const Copy& copy) {
  if (copy.box.bytes() == 0) return;
  Copy c = copy;
  flatten(c, {&c.dst, &c.src});
  const bool to_host = host_memory(c.dst.address);
  for (size_t z = 0; z < c.box.depth; z++)
    for (size_t y = 0; y < c.box.height; y++)
      copy_row(c, c.dst.row(y, z), c.src.row(y, z), to_host);
}

void run_fill(const Fill& fill) {
  if (fill.box.bytes() == 0) return;
  Fill f = fill;
  flatten(f, {&f.dst});
  for (size_t z = 0; z < f.box.depth; z++)
    for (size_t y = 0; y < f.box.height; y++) fill_row(f, f.dst.row(y, z));
}

}  // namespace sim
