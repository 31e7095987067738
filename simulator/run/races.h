// Races in shared memory: two threads of a block reach the same bytes, one of them writes, and
// nothing orders them. Found whatever the order in which the simulator happened to run them.
//
// Time is counted in ticks of the block. Every write of some bytes, and for every warp its last
// reads of them, are kept with thread and tick. A warp knows of each other warp up to which tick
// its accesses lie before the own ones; barriers, mbarriers, atomic operations and volatile
// accesses hand that knowledge on (vector clocks, a warp an entry). Within a warp the same is known
// lane by lane, as __syncwarp hands it on. Shuffles and votes order no memory, as the programming
// guide says; but what a lane read before one of them it has read, whoever writes there after it.
//
// What orders is taken generously: an atomic or volatile access orders whatever came before it in
// the block, so that a lock or a flag of the program's own is understood without looking at its
// fences. A race that such an access hides is not seen; what is reported is a race.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "simulator/code/code.h"

namespace sim {

/// For each warp of the block: its accesses up to this tick.
using Clock = std::array<uint32_t, 32>;

struct Touch {
  uint32_t warp = 0;
  uint32_t lanes = 0;
  uint32_t bytes = 0;            // of each lane
  uint32_t line = 0;             // of the PTX
  bool strong = false;           // atomic or volatile: no race with others of its kind
  const uint64_t* at = nullptr;  // of each lane, in shared memory; in bounds and aligned
};

struct Conflict {
  int lane = 0;
  uint64_t at = 0;              // the first byte that both touch
  uint32_t thread = 0;          // the other one
  bool written = false;         // by the other one
  bool together = false;        // in the same instruction
  uint32_t line = 0;            // of the PTX, where the other one touched it; 0: not known
  bool between_blocks = false;  // in global memory: `at` is a device address, `thread` a block
};

class Races {
 public:
  /// A block begins. Bytes are told apart in units of `unit`, the smallest access of the kernel.
  void start(uint32_t threads, uint64_t shared_bytes, uint32_t unit);

  /// Whether an access is in a race; the first one found.
  bool read(const Touch& touch, Conflict& found);
  /// All of them, one a lane at most: a store of what is there already is none.
  void write(const Touch& touch, std::vector<Conflict>& found);
  /// Bytes were written by a copy that all who can see them have waited for.
  void forget(uint64_t at, uint64_t bytes);
  /// The same for one that `thread` has waited for: as if it wrote them now.
  void landed(uint32_t thread, uint64_t at, uint64_t bytes, uint32_t line);

  /// A warp comes to a barrier of the block.
  void arrive(uint32_t barrier, uint32_t warp);
  /// The barrier opens, and who waits there leaves it with what all knew that came. `all`: no other
  /// lane of the warp is alive.
  void open(uint32_t barrier);
  void leave(uint32_t barrier, uint32_t warp, uint32_t lanes, bool all);
  /// All threads of the block have waited at one barrier.
  void sync_all();
  void sync_lanes(uint32_t warp, uint32_t lanes, bool all);
  /// Lanes of a warp execute a shuffle, a vote or the like together.
  void met(uint32_t warp);
  /// An atomic or volatile access; one that only reads hands nothing on.
  void order(uint32_t warp, uint32_t lanes, bool all, bool reads, bool writes);
  void arrive_at(uint64_t mbarrier, uint32_t warp, uint32_t lanes, bool all);
  void wait_at(uint64_t mbarrier, uint32_t warp, uint32_t lanes, bool all);

 private:
  /// Some bytes: who wrote them last, and when they were read last.
  struct Unit {
    uint32_t tick = 0;
    uint32_t thread = 0;  // bit 31: strong
    uint32_t line = 0;
    uint32_t read_tick = 0, read_line = 0;
  };
  /// What lanes of a warp know of each other, where they do not all know the same.
  struct Lanes {
    std::array<std::array<uint32_t, kLanes>, kLanes> known{};  // [who][of whom]
    std::array<uint32_t, kLanes> handed{};                     // by atomic and volatile accesses
  };

  bool ordered(uint32_t warp, int lane, uint32_t thread, uint32_t tick) const;
  bool read_conflicts(const Touch& a, int lane, uint64_t unit, Conflict& found) const;
  void hand_on(uint32_t warp, uint32_t lanes, bool all, std::array<uint32_t, kLanes>* handed);
  void release(uint32_t warp, Clock& to);
  void acquire(uint32_t warp, const Clock& from);
  Lanes& lanes_of(uint32_t warp);

  uint32_t warps_ = 0, unit_ = 4;
  int shift_ = 2;
  uint32_t now_ = 0;
  std::vector<Unit> units_;
  std::vector<uint64_t> reads_;            // by unit and warp: tick, and the lanes that read then
  std::array<uint32_t, 32> tick_{};        // of the accesses that a warp makes now
  std::array<Clock, 32> seen_{};           // [who][of whom]; of itself: what all its lanes know
  std::array<uint32_t, 32> reads_done_{};  // by warp: for its own lanes, its reads up to this tick
  uint32_t has_read_ = 0;                  // warps that have read since their tick began
  uint32_t floor_ = 0;                     // everybody knows everything up to this tick
  struct Barrier {
    Clock coming{}, opened{};
  };
  std::array<Barrier, 17> barriers_{};  // the last: of a cluster
  Clock handed_{};                      // by atomic and volatile accesses
  std::unordered_map<uint64_t, Clock> mbarriers_;
  std::array<std::unique_ptr<Lanes>, 32> lanes_;
};

}  // namespace sim
