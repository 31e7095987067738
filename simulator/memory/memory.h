// Device memory: one window of addresses that all simulated devices share, with a shadow byte for
// each byte that says whether it may be touched and whether it was written.
//
// A device pointer is the address of the first of three views of the window. The host may not touch
// the first (a host access to device memory is a segmentation fault, which is reported as such),
// the simulator works on the second, and the third holds the shadow:
//   device view  kDeviceBase + x   what the program sees
//   raw view     + kToRaw          the same memory, for the simulator
//   shadow       + kToShadow       one byte per byte
// A summary beside them says of each 512 bytes whether all were seen to be kReady, so that most
// accesses need not look at the shadow.
// Pinned host and managed allocations have their pages of the device view opened.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sim {

inline constexpr uint64_t kDeviceBase = 0x2000'0000'0000;
// 256 GiB of addresses; pages come when they are touched.
inline constexpr uint64_t kWindow = 0x40'0000'0000;
inline constexpr uint64_t kToRaw = 0x1000'0000'0000;
inline constexpr uint64_t kToShadow = 0x2000'0000'0000;

// The summary: a byte for each kSummed bytes.
inline constexpr uint64_t kSummaryBase = 0x5000'0000'0000;
inline constexpr uint64_t kSummed = 512;

// Whose memory a page is: a byte for each, behind the summary.
inline constexpr uint64_t kOwnedPage = 4096;
inline constexpr uint64_t kOwnersBase = kSummaryBase + kWindow / kSummed;

// Generic addresses of the other spaces; what lies in them is the block's or the thread's own.
inline constexpr uint64_t kSharedBase = 0x1000'0000'0000;
inline constexpr uint64_t kLocalBase = 0x1800'0000'0000;
inline constexpr uint64_t kSpaceWindow = 0x1'0000'0000;  // 4 GiB each

/// Shadow of a byte. A byte is readable where both bits are set. kPending: an asynchronous copy has
/// yet to write it.
enum : uint8_t {
  kUnmapped = 0,
  kAddressable = 1,
  kWritten = 2,
  kReady = 3,
  kFreed = 4,
  kPending = 5
};

inline bool in_device_window(uint64_t address) { return address - kDeviceBase < kWindow; }
template <class T = uint8_t>
T* raw(uint64_t address) {
  return reinterpret_cast<T*>(address + kToRaw);
}
inline uint8_t* shadow(uint64_t address) { return reinterpret_cast<uint8_t*>(address + kToShadow); }
inline uint8_t* summary(uint64_t address) {
  return reinterpret_cast<uint8_t*>(kSummaryBase + (address - kDeviceBase) / kSummed);
}

/// Owners of memory: nobody, whom all devices reach, as the host's memory; a device; a pool.
enum : uint8_t { kNobody = 0, kFirstDevice = 1, kFirstPool = 17 };
inline uint8_t owner_of(uint64_t address) {
  return *reinterpret_cast<uint8_t*>(kOwnersBase + (address - kDeviceBase) / kOwnedPage);
}
/// Of a whole allocation; a new one is its device's, or nobody's where the host may touch it.
void set_owner(uint64_t base, uint64_t bytes, uint8_t owner);
/// Whether a device reaches the memory of an owner. Each reaches its own at first.
bool reaches(int device, uint8_t owner);
void let_reach(int device, uint8_t owner, bool yes);

/// Shadow of some bytes becomes `state`; who makes it other than kReady must do so with this.
void mark(uint64_t address, uint64_t bytes, uint8_t state);
/// The same for who wrote the shadow by himself.
void forget_summary(uint64_t address, uint64_t bytes);
/// Whether the 512 bytes around an address are kReady, which the summary then says.
bool sum_up(uint64_t address);

enum class MemoryKind : uint8_t { device, pinned, managed, variable };

struct Allocation {
  uint64_t base = 0, bytes = 0;
  int device = 0;
  MemoryKind kind = MemoryKind::device;
  std::string name;     // of a variable; else the call that made it: "cudaMalloc"
  uint64_t number = 0;  // counted from 1, in the order of allocation
  bool freed = false;
};

/// Belongs to a module, __managed__ variables included: no call of the program made it.
inline bool is_variable(const Allocation& a) { return !a.name.starts_with("cuda"); }

/// Maps the three views. Called once, before anything else; further calls do nothing.
void open_memory();

/// `bytes` of new memory, aligned to 512, with at least 512 untouchable bytes on both sides. Empty
/// when `limit` bytes of the device would be passed (the memory of the simulated card). The shadow
/// is kAddressable, or kReady for pinned memory, which the host writes unseen, for managed, and
/// where `written`.
std::optional<uint64_t> allocate(uint64_t bytes, int device, MemoryKind kind, std::string name,
                                 uint64_t limit = ~uint64_t(0), bool written = false);

enum class FreeResult { done, not_a_base, already_freed, unknown };
/// The bytes become kFreed, and the addresses are kept out of use as long as there are others
/// (quarantine); pages go back to the system.
FreeResult release(uint64_t base);

/// Makes whole pages of the host's memory pages of an allocation, with what is in them: kernels may
/// touch `bytes` of them from `offset` on. The result is the address of the first page.
std::optional<uint64_t> show_host_memory(uint64_t pages, uint64_t page_bytes, uint64_t offset,
                                         uint64_t bytes, int device, std::string name);
/// Gives the pages back, with what is in them now, and releases the allocation.
void hide_host_memory(uint64_t pages, uint64_t page_bytes, uint64_t base);

/// The live allocation that holds `address`, if any.
std::optional<Allocation> find_allocation(uint64_t address);
/// "12 bytes after allocation 3, 1024 bytes at 0x200000000200 by cudaMalloc (freed)": the nearest
/// allocation, live or freed, for reports. "no allocation is near" where there is none.
std::string describe_address(uint64_t address);
/// All that is live, in the order of allocation.
std::vector<Allocation> live_allocations();
/// Bytes live on a device, without variables.
uint64_t live_bytes(int device);

}  // namespace sim
