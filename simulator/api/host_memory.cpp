// Memory of the host that the program registers, and how kernels reach it and pinned memory.
#include <unistd.h>

#include "simulator/api/api.h"
#include "simulator/api/pointers.h"
#include "simulator/memory/memory.h"

using namespace sim;

namespace {

struct Registered {
  size_t bytes = 0;
  unsigned flags = 0;
  uint64_t view = 0;  // where kernels see the first page; 0: nobody has asked
};

std::map<uint64_t, Registered>& registered() {
  static auto* const all = new std::map<uint64_t, Registered>;
  return *all;
}

struct Pages {
  uint64_t begin = 0, end = 0;
  size_t bytes() const { return end - begin; }
};

Pages pages_of(uint64_t address, size_t bytes) {
  const auto page = uint64_t(sysconf(_SC_PAGESIZE));
  return {address / page * page, (address + bytes + page - 1) / page * page};
}

std::map<uint64_t, Registered>::iterator find(uint64_t address) {
  auto it = registered().upper_bound(address);
  if (it == registered().begin()) return registered().end();
  it--;
  return address - it->first < it->second.bytes ? it : registered().end();
}

bool overlaps(uint64_t address, size_t bytes) {
  const auto next = registered().lower_bound(address);
  return is_registered(address) || (next != registered().end() && next->first - address < bytes);
}

/// Two views of one page can't both be the program's memory, and the stack can't be exchanged while
/// it is in use.
void check_viewable(const Pages& pages) {
  const auto here = reinterpret_cast<uint64_t>(&pages);
  check(here < pages.begin || here >= pages.end, cudaErrorNotSupported);
  for (const auto& [address, r] : registered()) {
    const Pages other = pages_of(address, r.bytes);
    check(!r.view || other.end <= pages.begin || pages.end <= other.begin, cudaErrorNotSupported);
  }
}

void make_view(uint64_t address, Registered& r) {
  const Pages pages = pages_of(address, r.bytes);
  check_viewable(pages);
  r.view = show_host_memory(pages.begin, pages.bytes(), address - pages.begin, r.bytes,
                            current_device(), "cudaHostRegister")
               .value_or(0);
  check(r.view != 0, cudaErrorMemoryAllocation);
}

}  // namespace

std::map<uint64_t, unsigned>& sim::pinned_flags() {
  static auto* const all = new std::map<uint64_t, unsigned>;
  return *all;
}

bool sim::is_registered(uint64_t address) { return find(address) != registered().end(); }

void* sim::device_view(uint64_t address) {
  const auto it = find(address);
  if (it == registered().end() || !it->second.view) return nullptr;
  const Pages pages = pages_of(it->first, it->second.bytes);
  return reinterpret_cast<void*>(it->second.view + (address - pages.begin));
}

SIM_API cudaError_t cudaHostRegister(void* pointer, size_t bytes, unsigned flags) {
  return api(__func__, [&](Lock&) {
    check(pointer && bytes > 0 && flags < 16, cudaErrorInvalidValue);
    check(!(flags & (cudaHostRegisterIoMemory | cudaHostRegisterReadOnly)), cudaErrorNotSupported);
    const auto address = reinterpret_cast<uint64_t>(pointer);
    check(!in_device_window(address) && !overlaps(address, bytes),
          cudaErrorHostMemoryAlreadyRegistered);
    registered()[address] = {bytes, flags, 0};
  });
}

SIM_API cudaError_t cudaHostUnregister(void* pointer) {
  return api(__func__, [&](Lock& lock) {
    check(pointer, cudaErrorInvalidValue);
    const auto address = reinterpret_cast<uint64_t>(pointer);
    check(registered().contains(address), cudaErrorHostMemoryNotRegistered);
    Executor::get().wait_all(lock, -1);
    const Registered r = registered().at(address);
    registered().erase(address);
    const Pages pages = pages_of(address, r.bytes);
    if (r.view) hide_host_memory(pages.begin, pages.bytes(), r.view);
  });
}

/// Pinned memory has one address for all. Registered memory gets another one for kernels when it is
/// asked for: cudaDevAttrCanUseHostPointerForRegisteredMem is 0.
SIM_API cudaError_t cudaHostGetDevicePointer(void** device, void* host, unsigned flags) {
  return api(__func__, [&](Lock&) {
    check(device && host && flags == 0, cudaErrorInvalidValue);
    const auto address = reinterpret_cast<uint64_t>(host);
    if (const auto it = find(address); it != registered().end()) {
      if (!it->second.view) make_view(it->first, it->second);
      *device = device_view(address);
      return;
    }
    const auto a = find_allocation(address);
    check(a && a->kind == MemoryKind::pinned, cudaErrorInvalidValue);
    *device = host;
  });
}

SIM_API cudaError_t cudaHostGetFlags(unsigned* flags, void* host) {
  return api(__func__, [&](Lock&) {
    check(flags && host, cudaErrorInvalidValue);
    const auto address = reinterpret_cast<uint64_t>(host);
    const auto a = find_allocation(address);
    check(a && a->kind == MemoryKind::pinned, cudaErrorInvalidValue);
    const auto it = pinned_flags().find(a->base);
    *flags = cudaHostAllocMapped | (it == pinned_flags().end() ? 0 : it->second);
  });
}
