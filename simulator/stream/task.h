// Work that was handed to a device. It runs on the thread that waits for it, one task at a time.
// Without a seed it runs as late as it may, and of the tasks that do not depend on each other the
// one that was asked for last goes first: what a program forgot to wait for has not happened.
// SIM_SEED draws the order at random, and how early work runs that nothing waits for.
#pragma once
#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <vector>

namespace sim {

struct Task;
using TaskPtr = std::shared_ptr<Task>;

struct Task {
  std::function<void()> work;  // empty: a point in the order
  int device = 0;
  bool host = false;  // calls the program, which may hold a lock: runs only when it is waited for
  bool done = false;
  double start = 0, finish = 0;  // simulated nanoseconds; start: at the earliest

  // Of the executor.
  uint64_t number = 0;
  bool wanted = false;
  size_t missing = 0;  // of `after`, those not done
  std::vector<TaskPtr> after, before;
};

/// Guards all that the API keeps. Released while a task runs.
std::mutex& state_mutex();
using Lock = std::unique_lock<std::mutex>;

/// From here on a forked child may use none of this: threads that it does not have may hold locks,
/// and its device memory is its parent's.
void watch_forks();
bool in_child();

/// Adds simulated time to the task that this thread runs.
void spend(double nanoseconds);
/// What spend() was given since the task began.
double spent();
/// While one lives, this thread is inside of a task's work.
class TaskScope {
 public:
  TaskScope();
  ~TaskScope();

 private:
  bool before_;
};
/// True inside of a task's work: the program's host functions may not call the API.
bool inside_task();

/// All functions expect the lock to be held.
class Executor {
 public:
  static Executor& get();

  TaskPtr submit(std::function<void()> work, int device, const std::vector<TaskPtr>& after,
                 bool host = false);
  /// Runs what `task` needs, and with a seed perhaps more.
  void wait(Lock& lock, const TaskPtr& task);
  /// Runs one piece of work that `task` needs, if any; then whether it is done.
  bool poll(Lock& lock, const TaskPtr& task);
  /// Until nothing is left on a device (-1: on any).
  void wait_all(Lock& lock, int device);
  /// At the end of a call: with a seed, some of the work that nothing waits for yet.
  void run_ahead(Lock& lock);
  bool idle(int device) const;

 private:
  Executor();
  void want(const TaskPtr& task);
  TaskPtr choose();
  TaskPtr stray();
  void run(Lock& lock, Task& task);
  bool run_one(Lock& lock);  // true where it was more than a point in the order
  void finish(Task& task);
  void see(const Task& task) { host_time_ = std::max(host_time_, task.finish); }

  std::map<uint64_t, TaskPtr> pending_;   // by number, so that a seed gives the same order again
  std::vector<TaskPtr> wanted_, others_;  // ready to run
  bool running_ = false;
  std::condition_variable changed_;
  std::mt19937_64 random_;
  unsigned eagerness_ = 0;  // of 256: how often work runs ahead
  uint64_t count_ = 0;
  double host_time_ = 0;  // when the host last saw something finish
};

}  // namespace sim
