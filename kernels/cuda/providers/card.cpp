#include "kernels/cuda/providers/card.h"

#include <algorithm>
#include <array>

#include "kernels/cuda/graph.h"
#include "kernels/cuda/runtime.h"
#include "kernels/cuda/stream.h"

namespace noisette::cuda::providers {
namespace {

class Moment {
 public:
  Moment() { check(cudaEventCreate(&event_), "event"); }
  ~Moment() { (void)cudaEventDestroy(event_); }
  Moment(const Moment&) = delete;
  Moment& operator=(const Moment&) = delete;
  void record() { check(cudaEventRecord(event_, stream()), "event"); }
  double seconds_since(const Moment& before) const {
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, before.event_, event_), "event");
    return double(milliseconds) * 1e-3;
  }

 private:
  cudaEvent_t event_ = nullptr;
};

class RealCard final : public Card {
 public:
  explicit RealCard(int device) : device_(device) {}
  bool current() const override { return current_device() == device_; }
  bool recording() const override { return cuda::recording(); }
  void* reserve(std::size_t bytes) override { return cuda::reserve(bytes); }
  void release(void* data) override { cuda::release(data); }
  void write(void* to, const void* from, std::size_t bytes) override {
    copy_to_device(to, from, bytes);
  }
  void read(void* to, const void* from, std::size_t bytes) override {
    copy_to_host(to, from, bytes);
  }
  /// Calls follow each other without a wait, so that the host's part of one hides behind another.
  double seconds(const std::function<void()>& call) override {
    constexpr std::size_t kCalls = 7;
    std::array<Moment, kCalls + 1> moments;
    call();
    moments[0].record();
    for (std::size_t i = 1; i <= kCalls; ++i) {
      call();
      moments[i].record();
    }
    synchronize();
    std::array<double, kCalls> times;
    for (std::size_t i = 0; i < kCalls; ++i) times[i] = moments[i + 1].seconds_since(moments[i]);
    std::nth_element(times.begin(), times.begin() + kCalls / 2, times.end());
    return times[kCalls / 2];
  }

 private:
  int device_;
};

}  // namespace

std::unique_ptr<Card> real_card(int device) { return std::make_unique<RealCard>(device); }

}  // namespace noisette::cuda::providers
