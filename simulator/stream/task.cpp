#include "simulator/stream/task.h"

#include <pthread.h>

#include <algorithm>
#include <exception>
#include <iterator>
#include <stdexcept>
#include <thread>
#include <utility>

#include "simulator/device/settings.h"
#include "simulator/report/fault.h"

namespace sim {
namespace {

thread_local double time_spent = 0;
thread_local bool in_task = false;
bool forked = false;

/// A task that throws ends the program: there is nobody to hand the error to.
double run_work(Task& task) {
  time_spent = 0;
  const TaskScope scope;
  try {
    task.work();
  } catch (const Fault& fault) {
    stop_program(fault);
  } catch (const std::exception& error) {
    Fault fault;
    fault.kind = "not simulated";
    fault.details = error.what();
    stop_program(fault);
  }
  return time_spent;
}

}  // namespace

std::mutex& state_mutex() {
  static auto* const m = new std::mutex;
  return *m;
}

void watch_forks() {
  pthread_atfork(nullptr, nullptr, [] { forked = true; });
}
bool in_child() { return forked; }

void spend(double nanoseconds) { time_spent += nanoseconds; }
double spent() { return time_spent; }
bool inside_task() { return in_task; }
TaskScope::TaskScope() : before_(in_task) { in_task = true; }
TaskScope::~TaskScope() { in_task = before_; }

Executor& Executor::get() {
  static auto* const e = new Executor;
  return *e;
}

/// A program that is late in the host's eyes and one that is early are different mistakes: some
/// seeds run next to nothing ahead, others all that they can.
Executor::Executor() : random_(settings().seed) {
  constexpr unsigned kEagerness[] = {0, 16, 128, 256};
  if (settings().seed != 0) eagerness_ = kEagerness[random_() % std::size(kEagerness)];
}

TaskPtr Executor::submit(std::function<void()> work, int device, const std::vector<TaskPtr>& after,
                         bool host) {
  auto task = std::make_shared<Task>();
  task->host = host;
  task->work = std::move(work);
  task->device = device;
  task->start = host_time_;
  for (const TaskPtr& t : after) {
    if (!t) continue;
    if (t->done) {
      task->start = std::max(task->start, t->finish);
    } else {
      task->after.push_back(t);
      t->before.push_back(task);
    }
  }
  task->missing = task->after.size();
  if (task->missing == 0) others_.push_back(task);
  pending_[task->number = ++count_] = task;
  ++moves_;
  start_watch();
  return task;
}

void Executor::want(const TaskPtr& task, bool hand_over) {
  std::vector<TaskPtr> open{task};
  while (!open.empty()) {
    const TaskPtr t = std::move(open.back());
    open.pop_back();
    if (t->done || (t->wanted && (t->handed || !hand_over))) continue;
    t->wanted = true;
    if (hand_over && !std::exchange(t->handed, true)) {
      ++handed_;
      start_helper(t->host);
    }
    if (t->missing == 0 && std::erase(others_, t) > 0) wanted_.push_back(t);
    for (const TaskPtr& needed : t->after) open.push_back(needed);
  }
}

/// The newest of those that may be taken, or any where a seed was given; null if there is none.
TaskPtr Executor::take(std::vector<TaskPtr>& ready, const Condition& may) {
  std::vector<size_t> found;
  for (size_t i = 0; i < ready.size(); i++)
    if (may_run(*ready[i]) && may(*ready[i])) found.push_back(i);
  if (found.empty()) return nullptr;
  const auto newer = [&](size_t a, size_t b) { return ready[a]->number < ready[b]->number; };
  const size_t i = settings().seed != 0 ? found[random_() % found.size()]
                                        : *std::max_element(found.begin(), found.end(), newer);
  std::swap(ready[i], ready.back());
  TaskPtr task = std::move(ready.back());
  ready.pop_back();
  return task;
}

/// One of the tasks that are ready but that nothing waits for.
TaskPtr Executor::stray() {
  return take(others_, [](const Task& t) { return !t.host; });
}

/// One of the tasks that are ready and wanted; where a seed was given, now and then another.
TaskPtr Executor::choose() {
  if (settings().seed != 0 && random_() % 4 == 0)
    if (TaskPtr other = stray()) return other;
  return take(wanted_, [](const Task&) { return true; });
}

void Executor::finish(Task& task, double time) {
  task.done = true;
  task.finish = task.start + time;
  double& latest = latest_[task.device];
  latest = std::max(latest, task.finish);
  for (const TaskPtr& next : task.before) {
    next->start = std::max(next->start, task.finish);
    if (--next->missing == 0) (next->wanted ? wanted_ : others_).push_back(next);
  }
  task.before.clear();
  task.after.clear();
}

void Executor::run(Lock& lock, const TaskPtr& task) {
  double time = 0;
  if (task->work) {
    bool& busy = busy_[task->host];
    busy = true;
    lock.unlock();
    time = run_work(*task);
    lock.lock();
    busy = false;
    task->work = nullptr;  // with the lock: what it kept may go now
  }
  finish(*task, time);
  pending_.erase(task->number);
  if (task->handed) --handed_;
  changed_.notify_all();
  if (handed_ > 0) work_for_helpers_.notify_all();
}

/// A piece of work that is wanted, or what another thread runs.
void Executor::run_one(Lock& lock) {
  if (const TaskPtr task = choose()) return run(lock, task);
  if (!busy_[false] && !busy_[true]) throw std::logic_error("waiting for work that can never run");
  changed_.wait(lock);
}

void Executor::run_ahead(Lock& lock) {
  while (eagerness_ != 0 && !busy_[false] && random_() % 256 < eagerness_) {
    const TaskPtr task = stray();
    if (!task || !run_beside(lock, task)) return;
  }
}

void Executor::wait(Lock& lock, const TaskPtr& task) {
  if (!task) return;
  want(task);
  ++waiting_;
  while (!task->done) run_one(lock);
  --waiting_;
  ++moves_;
  patience_ = kTicks;
  see(task->finish);
}

/// Points in the order need no other thread. Where the answer is no, the thread that runs the work
/// gets the lock, and a core where there are few.
bool Executor::poll(Lock& lock, const TaskPtr& task) {
  if (!task) return true;
  want(task);
  while (const TaskPtr point = take(wanted_, [](const Task& t) { return !t.work; }))
    run(lock, point);
  const bool done = task->done;
  if (done) {
    see(task->finish);
  } else {
    hand_over(task);
    lock.unlock();
    std::this_thread::yield();
    lock.lock();
  }
  return done;
}

void Executor::wait_all(Lock& lock, int device) {
  const auto ours = [&](int d) { return device < 0 || d == device; };
  std::vector<TaskPtr> all;
  for (const auto& [number, t] : pending_)
    if (ours(t->device)) all.push_back(t);
  for (const TaskPtr& t : all) want(t);
  for (const TaskPtr& t : all) wait(lock, t);
  for (const auto& [d, finish] : latest_)
    if (ours(d)) see(finish);
}

}  // namespace sim
