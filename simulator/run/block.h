// A block of threads: its warps, shared memory and barriers.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "simulator/exec/warp.h"
#include "simulator/run/races.h"

namespace sim {

/// Everything that a launch has in common.
struct LaunchState;
class Tally;
struct BlockTraffic;

/// What the threads of a bar.red said.
struct Vote {
  uint32_t yes = 0, all = 0;
};

struct Barrier {
  uint32_t arrived = 0;   // threads
  uint32_t expected = 0;  // 0: all that are alive
  uint32_t yes = 0;
  Vote last;  // of the round before
};

class AsyncCopies;

/// barrier.cluster, of a cluster that is this block; the others are bar's 0 to 15.
inline constexpr uint32_t kClusterBarrier = 16;

class Block {
 public:
  /// `tally`: where its instructions are counted; nullptr: they are not.
  explicit Block(LaunchState& launch, Tally* tally = nullptr);
  ~Block();

  /// The block of this number begins; one that has ended can be begun again as another.
  void start(uint64_t index);

  /// Runs every warp once; done, yielded (some warp had its share), or throws a Fault when no warp
  /// can go on.
  Ran run();

  LaunchState& launch() { return launch_; }
  const ptx::Module& module() const;
  Dim3 index() const { return index_; }
  /// What each thread does, warp by warp.
  std::string state() const;
  uint64_t number() const { return number_; }
  uint32_t threads() const { return threads_; }
  std::vector<uint8_t>& shared() { return shared_; }
  std::vector<uint8_t>& shared_shadow() { return shared_shadow_; }

  /// `threads` more, of a warp, have come to a barrier; opens it when all have.
  void arrive(uint32_t barrier, uint32_t warp, uint32_t threads, uint32_t expected,
              uint32_t yes = 0);
  /// Lanes of a warp arrive at the cluster's barrier without waiting.
  void arrive_at_cluster(uint32_t warp, uint32_t lanes);
  /// Lanes that have arrived there and that others have not followed yet.
  uint32_t at_cluster(uint32_t warp) const { return at_cluster_[warp]; }
  Vote last_vote(uint32_t barrier) const { return barriers_[barrier].last; }
  /// Threads that ended: a barrier no longer waits for them.
  void threads_ended(uint32_t threads);

  Dim3 thread_at(uint32_t linear) const;
  /// Of the block of a number.
  Dim3 index_of(uint64_t number) const;

  Tally* tally() { return tally_; }
  /// Only where there is a tally.
  BlockTraffic& traffic() { return *traffic_; }

  /// Copies under way; made when first asked for.
  AsyncCopies& async();
  /// Of its shared memory; there are none without checks.
  Races& races() { return *races_; }
  Races* races_or_none() { return races_.get(); }

 private:
  void open(uint32_t barrier);

  LaunchState& launch_;
  Tally* tally_;
  std::unique_ptr<BlockTraffic> traffic_;
  uint64_t number_ = 0;
  Dim3 index_;
  uint32_t threads_, alive_ = 0;
  std::vector<uint8_t> shared_, shared_shadow_;
  std::array<Barrier, 17> barriers_{};
  std::array<uint32_t, 32> at_cluster_{};
  std::vector<std::unique_ptr<Warp>> warps_;
  std::vector<uint32_t> order_;  // in which they take their turns
  std::shared_ptr<AsyncCopies> async_;
  std::unique_ptr<Races> races_;
  std::minstd_rand random_;
};

}  // namespace sim
