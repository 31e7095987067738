// Work that was handed to a device. It runs on the thread that waits for it, one task at a time.
// Without a seed it runs as late as it may, and of the tasks that do not depend on each other the
// one that was asked for last goes first: what a program forgot to wait for has not happened.
// SIM_SEED draws the order at random, and how early work runs that nothing waits for.
// A program that looks whether work is done, by a query or in memory, goes on meanwhile, so threads
// of the executor's own run what was handed over to them: beside.cpp.
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
  bool host = false;  // calls the program, which may hold a lock: never runs ahead
  bool done = false;
  double start = 0, finish = 0;  // simulated nanoseconds; start: at the earliest

  // Of the executor.
  uint64_t number = 0;
  bool wanted = false;
  bool handed = false;  // over to the executor's threads
  size_t missing = 0;   // of `after`, those not done
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
  /// Whether `task` is done; if not, it is handed over.
  bool poll(Lock& lock, const TaskPtr& task);
  /// Until nothing is left on a device (-1: on any).
  void wait_all(Lock& lock, int device);
  /// At the end of a call: with a seed, some of the work that nothing waits for yet.
  void run_ahead(Lock& lock);

 private:
  using Condition = std::function<bool(const Task&)>;

  Executor();
  void want(const TaskPtr& task, bool hand_over = false);
  bool may_run(const Task& task) const { return !task.work || !busy_[task.host]; }
  TaskPtr take(std::vector<TaskPtr>& ready, const Condition& may);
  TaskPtr choose();
  TaskPtr stray();
  void run(Lock& lock, const TaskPtr& task);
  void run_one(Lock& lock);
  void finish(Task& task, double time);
  void see(double finish) { host_time_ = std::max(host_time_, finish); }

  // beside.cpp
  void hand_over(const TaskPtr& task);
  bool run_beside(Lock& lock, const TaskPtr& task);  // false: it goes on and on
  void start_watch();
  void watch();
  void hand_over_late_work();
  void start_helper(bool host);
  void help(bool host);

  std::map<uint64_t, TaskPtr> pending_;   // by number, so that a seed gives the same order again
  std::vector<TaskPtr> wanted_, others_;  // ready to run
  // What a device does, and functions of the program: one of each runs at a time. A function that
  // waits for a lock keeps no kernel from running.
  bool busy_[2] = {};
  std::condition_variable changed_;
  std::mt19937_64 random_;
  unsigned eagerness_ = 0;  // of 256: how often work runs ahead
  uint64_t count_ = 0;
  double host_time_ = 0;          // when the host last saw something finish
  std::map<int, double> latest_;  // by device: when it finished what it did so far

  // Of the threads that run what was handed over, one for each of `busy_`, and of the watch.
  static constexpr unsigned kTicks = 100;  // of the watch; 2 s
  size_t handed_ = 0;                      // of the pending tasks
  std::condition_variable work_for_helpers_, work_to_watch_;
  bool helpers_[2] = {}, watched_ = false, resting_ = false;
  unsigned waiting_ = 0;  // threads of the program in a wait
  uint64_t moves_ = 0;    // submissions and waits of the program
  unsigned patience_ = kTicks;
  bool noted_late_ = false, noted_early_ = false;
};

}  // namespace sim
