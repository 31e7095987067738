#include "simulator/memory/lazy_shadow.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "simulator/memory/memory.h"

namespace sim {
namespace {

constexpr uint64_t kPattern = 32 << 20;

/// A file of kPattern bytes of one state; -1 where there can be none.
int pattern_of(uint8_t state) {
  const int file = memfd_create("a shadow's state", MFD_CLOEXEC);
  const std::vector<uint8_t> bytes(1 << 20, state);
  for (uint64_t done = 0; file >= 0 && done < kPattern; done += bytes.size())
    if (write(file, bytes.data(), bytes.size()) != ssize_t(bytes.size())) return close(file), -1;
  return file;
}

int pattern(uint8_t state) {
  if (state == kReady) {
    static const int ready = pattern_of(kReady);
    return ready;
  }
  static const int addressable = pattern_of(kAddressable);
  return addressable;
}

bool map(uint8_t* at, uint64_t bytes, int file) {
  const int kind = file < 0 ? MAP_ANONYMOUS : 0;
  const void* got = mmap(at, bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE | kind, file, 0);
  if (got != at) return false;
  madvise(at, bytes, MADV_DONTDUMP);
  return true;
}

}  // namespace

bool show_state(uint64_t address, uint64_t bytes, uint8_t state) {
  const int file = pattern(state);
  if (file < 0) return false;
  for (uint64_t done = 0; done < bytes; done += kPattern) {
    if (map(shadow(address) + done, std::min(kPattern, bytes - done), file)) continue;
    show_nothing(address, done);
    return false;
  }
  forget_summary(address, bytes);
  return true;
}

void mark_written(uint64_t address, uint64_t bytes) {
  constexpr uint64_t kPage = 4096;
  const uint64_t begin = (address + kPage - 1) / kPage * kPage, end = address + bytes;
  const uint64_t pages = end < begin ? 0 : (end - begin) / kPage * kPage;
  if (pages < kLazyShadow || !show_state(begin, pages, kReady)) return mark(address, bytes, kReady);
  mark(address, begin - address, kReady);
  mark(begin + pages, end - begin - pages, kReady);
}

void show_nothing(uint64_t address, uint64_t bytes) {
  if (bytes == 0) return;
  map(shadow(address), bytes, -1);
  madvise(shadow(address), bytes, MADV_HUGEPAGE);
  forget_summary(address, bytes);
}

}  // namespace sim
