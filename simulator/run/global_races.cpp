#include "simulator/run/global_races.h"

#include <sys/mman.h>

#include <atomic>
#include <bit>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>

#include "simulator/run/block.h"

namespace sim {
namespace {

constexpr uint64_t kTable = 0x4800'0000'0000;  // 8 bytes for each word of 4 of device memory
constexpr uint64_t kTableBytes = kWindow * 2;
constexpr int kBlockBits = 16;
constexpr uint32_t kBlocks = 1u << kBlockBits;  // blocks further on share the place of another
constexpr uint32_t kRounds = 256;
constexpr uint8_t kReleases = 128;  // a block makes fewer in a round, so that none passes for none

/// Who touched a word last, and which of its bytes.
struct WordUse {
  uint64_t writer : kBlockBits, writer_releases : 7, written : 4, strong : 1;
  uint64_t reader : kBlockBits, reader_releases : 7, read : 4;
  uint64_t round : 8;
};
static_assert(sizeof(WordUse) == 8);

std::atomic_ref<uint64_t> entry_at(uint64_t address) {
  return std::atomic_ref<uint64_t>(
      reinterpret_cast<uint64_t*>(kTable)[(address - kDeviceBase) / 4]);
}

/// Zeros, in place of the table that is there, or where nothing is yet.
void map_table(bool again) {
  void* want = reinterpret_cast<void*>(kTable);
  const int where = again ? MAP_FIXED : MAP_FIXED_NOREPLACE;
  const void* got = mmap(want, kTableBytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | where, -1, 0);
  if (got != want)
    throw std::runtime_error("SIM_CHECKS=all finds no addresses for what blocks touch: " +
                             std::string(std::strerror(errno)));
}

}  // namespace

GlobalRaces::GlobalRaces() : released_(kBlocks), round_of_(kBlocks), acquired_(kBlocks) {
  map_table(false);
}

GlobalRaces& GlobalRaces::get() {
  static auto* const races = new GlobalRaces;
  return *races;
}

void GlobalRaces::start() {
  forget();
  std::fill(acquired_.begin(), acquired_.end(), 0);
}

void GlobalRaces::forget() {
  const uint32_t next = round_.load() + 1;
  if (next % kRounds == 0) map_table(true);  // its words would pass for those of this round
  round_.store(next);
}

/// In half of what would wrap a round ends, unless another block has just ended one.
void GlobalRaces::release(uint64_t block) {
  const uint64_t b = block % kBlocks;
  const uint8_t count = std::atomic_ref<uint8_t>(released_[b]).fetch_add(1) + 1;
  if (count % (kReleases / 2) != 0) return;
  const std::lock_guard lock(mutex_);
  if (round_of_[b] == uint8_t(round_.load())) forget();
  round_of_[b] = uint8_t(round_.load());
}

void GlobalRaces::acquire(uint64_t block) {
  std::atomic_ref<uint8_t>(acquired_[block % kBlocks]).store(1, std::memory_order_relaxed);
}

void GlobalRaces::touch(Warp& w, uint32_t lanes, const Addresses& at, uint32_t bytes, Use use,
                        bool strong, std::vector<Conflict>& found) {
  const uint64_t me = w.block().number() % kBlocks;
  const auto released = [&](uint64_t block) -> uint64_t {
    return std::atomic_ref<uint8_t>(released_[block]).load() % kReleases;
  };
  const uint64_t my_releases = released(me), round = round_.load() % kRounds;
  const auto ordered = [&](uint64_t other, uint64_t releases) {
    return other == me || (acquired_[me] && released(other) != releases);
  };
  for (uint32_t rest = lanes; rest; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    const uint64_t begin = at[size_t(lane)], end = begin + bytes;
    bool known = false;
    for (uint64_t word = begin & ~uint64_t(3); word < end; word += 4) {
      const uint64_t low = std::max(begin, word) - word, high = std::min(end - word, uint64_t(4));
      const auto mask = uint32_t((1u << high) - (1u << low));
      const auto place = entry_at(word);
      auto e = std::bit_cast<WordUse>(place.load(std::memory_order_relaxed));
      if (e.round != round) e = {}, e.round = round;
      const bool written =
          (e.written & mask) && !(strong && e.strong) && !ordered(e.writer, e.writer_releases);
      const bool read =
          use != Use::read && (e.read & mask) && !ordered(e.reader, e.reader_releases);
      if (!known && (written || read)) {
        known = true;
        found.push_back(
            {lane, word + low, uint32_t(written ? e.writer : e.reader), written, false, 0, true});
      }
      if (strong && use == Use::read) continue;
      if (use == Use::read) {
        e.read = (e.reader == me ? e.read : 0) | mask;
        e.reader = me, e.reader_releases = my_releases;
      } else if (!(strong && e.strong && e.written && !ordered(e.writer, e.writer_releases))) {
        const bool same = e.writer == me && e.strong == strong;
        e.written = (same ? e.written : 0) | mask;
        e.writer = me, e.writer_releases = my_releases, e.strong = strong;
      }
      place.store(std::bit_cast<uint64_t>(e), std::memory_order_relaxed);
    }
  }
}

}  // namespace sim
