// Copies that threads of a block have begun and that have not landed: cp.async and cp.async.bulk. A
// copy reads its source and writes its destination when a wait covers it, not before, so that a
// program which does not wait reads what was there.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "simulator/code/decoder.h"

namespace sim {

class Block;
struct Reached;  // exec/access.h

/// The 64-bit word of an mbarrier. PTX ISA leaves its layout open: here pending and expected
/// arrivals in 20 bits each, bytes that copies still owe in 22, the phase in the highest.
struct MbarrierState {
  uint32_t pending = 0, expected = 0;
  int32_t owed = 0;
  bool phase = false;

  static MbarrierState from(uint64_t word);
  uint64_t word() const;
  /// These return what is wrong, or nullptr.
  const char* arrive(uint32_t count);
  const char* expect(int64_t bytes);  // negative: bytes have come
};
inline constexpr uint32_t kMaxArrivals = (1 << 20) - 1;

class AsyncCopies {
 public:
  struct Copy {
    const uint8_t* from = nullptr;
    uint8_t* to = nullptr;
    uint8_t* marks = nullptr;         // shadow of the destination; nullptr without checks
    uint32_t bytes = 0, filled = 0;   // beyond `filled` come zeros
    uint32_t thread = 0, line = 0;    // who began it, where in the PTX
    uint8_t* source_marks = nullptr;  // shadow of a source in shared memory; nullptr without checks
    std::shared_ptr<const std::vector<uint8_t>> read = nullptr;  // what `from` had when it was read
    void land() const;
    /// The source may be written again.
    void source_read() const;
  };
  /// What a thread asked of an mbarrier last, where the answer was that the phase goes on.
  struct Asked {
    const ptx::Function* function = nullptr;  // and the instruction; nullptr: it got what it asked
    uint32_t instruction = 0;
    uint8_t* barrier = nullptr;
    bool phase = false;
  };
  enum Kind { plain, bulk };  // cp.async has groups of its own

  explicit AsyncCopies(uint32_t threads)
      : queues_{Queues(threads), Queues(threads)}, asked_(threads) {}

  void begin(Kind kind, uint32_t thread, const Copy& copy);
  void commit(Kind kind, uint32_t thread);
  /// All but the `left` latest groups of the thread land.
  void wait(Warp& w, Kind kind, uint32_t thread, size_t left);
  /// The sources of all but the `left` latest groups of bulk copies are read, until the instruction
  /// of this line.
  void read(Warp& w, uint32_t thread, size_t left, uint32_t line);

  /// The thread arrives at an mbarrier when its copies until now have landed.
  void arrive_later(uint32_t thread, uint8_t* barrier);
  /// A bulk copy whose bytes the barrier counts.
  void begin_for(uint8_t* barrier, const Copy& copy) { owed_[barrier].push_back(copy); }
  /// A wait at the barrier covers what would complete its phase.
  void wait_at(Warp& w, uint8_t* barrier);
  /// Whether such a wait lets something land.
  bool owes(uint8_t* barrier) const {
    return arrivals_.contains(barrier) || owed_.contains(barrier);
  }

  Asked& asked(uint32_t thread) { return asked_[thread]; }
  /// True every few times: who waits is looked at now and then.
  bool time_to_look() { return ++looks_ % 8 == 0; }
  /// As exec/wait_loop.h; looked for once.
  bool asks_until_over(const ptx::Function& function, uint32_t instruction);

  /// A copy that has yet to write this byte, or to read it; nullptr: none is known.
  const Copy* writer_of(const uint8_t* at) const;
  const Copy* reader_of(const uint8_t* at) const;

  /// The block has ended: bulk copies to global memory complete without a wait, all others are
  /// gone.
  void finish();

 private:
  struct Step {
    Copy copy;
    uint8_t* barrier = nullptr;  // an arrival, not a copy
  };
  struct Queue {
    std::vector<Step> steps;     // oldest first
    std::vector<size_t> groups;  // how many of them are in each committed group
    size_t open = 0;             // in none yet
  };
  using Queues = std::vector<Queue>;

  void land(Warp* w, Queue& queue, size_t count, std::optional<uint32_t> thread);
  template <class F>
  const Copy* find(F&& is) const;

  Queues queues_[2];
  std::unordered_map<uint8_t*, std::vector<uint32_t>> arrivals_;  // threads
  std::unordered_map<uint8_t*, std::vector<Copy>> owed_;
  std::vector<Asked> asked_;  // by thread
  uint32_t looks_ = 0;
  std::unordered_map<const ptx::Instruction*, bool> loops_;
};

// async_mbarrier.cpp
void decode_mbarrier(Decoder& d, const Instruction& inst, Inst& i);
void decode_mbarrier_address(Decoder& d, const Instruction& inst, const ptx::Operand& o, Inst& i);
/// The words of each lane's mbarrier.
void reach_mbarriers(Warp& w, const Inst& i, uint32_t mask, Reached& memory);
/// One more arrival in this phase.
void expect_arrival(Warp& w, uint8_t* barrier, int lane);
MbarrierState mbarrier_at(const uint8_t* barrier);
/// What threads wait for that asked for the end of its phase: "the phase of parity 0 of the
/// mbarrier at 0x10 of shared memory: 1 of 65 arrivals and 0 bytes of copies are missing".
std::string describe_mbarrier(Block& block, const uint8_t* barrier);

}  // namespace sim
