#include "simulator/run/crew.h"

#include <condition_variable>
#include <mutex>
#include <thread>

namespace sim {
namespace {

/// Never destroyed: its threads wait until the process ends.
class Crew {
 public:
  void run(size_t count, const std::function<void()>& work) {
    std::unique_lock lock(mutex_);
    for (; threads_ + 1 < count; ++threads_) std::thread([this] { serve(); }).detach();
    work_ = &work;
    wanted_ = running_ = count - 1;
    more_.notify_all();
    lock.unlock();
    work();
    lock.lock();
    done_.wait(lock, [&] { return running_ == 0; });
  }

 private:
  void serve() {
    std::unique_lock lock(mutex_);
    for (;;) {
      more_.wait(lock, [&] { return wanted_ > 0; });
      --wanted_;
      const auto* work = work_;
      lock.unlock();
      (*work)();
      lock.lock();
      if (--running_ == 0) done_.notify_one();
    }
  }

  std::mutex mutex_;
  std::condition_variable more_, done_;
  const std::function<void()>* work_ = nullptr;
  size_t threads_ = 0, wanted_ = 0, running_ = 0;
};

}  // namespace

void run_on_threads(size_t count, const std::function<void()>& work) {
  if (count <= 1) return work();
  static auto* const crew = new Crew;
  crew->run(count, work);
}

}  // namespace sim
