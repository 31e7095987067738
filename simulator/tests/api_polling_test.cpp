// Programs that go on beside the device's work: by queries, or by looking into memory.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "simulator/stream/stream.h"
#include "simulator/tests/fake_engine.h"

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

/// Until it is true: the work that makes it so runs on another thread.
template <class Condition>
void spin_until(Condition condition) {
  while (!condition()) std::this_thread::yield();
}

void call(cudaStream_t stream, std::function<void()> body) {
  const auto run = [](void* data) {
    const std::unique_ptr<std::function<void()>> f(static_cast<std::function<void()>*>(data));
    (*f)();
  };
  ASSERT_EQ(cudaLaunchHostFunc(stream, run, new std::function<void()>(std::move(body))),
            cudaSuccess);
}

/// The kernel "nothing" runs until `flag`; "add" and "set" are the fixture's.
class Polling : public testing::Test, protected fake::Fixture {
 protected:
  void SetUp() override {
    cudaStreamCreateWithFlags(&a, cudaStreamNonBlocking);
    cudaStreamCreateWithFlags(&b, cudaStreamNonBlocking);
    cudaEventCreate(&event);
    cudaMallocHost(reinterpret_cast<void**>(&number), sizeof *number);
    *number = 0;
    fake::bodies()["nothing"] = [this](const sim::Launch&) {
      begun = true;
      spin_until([this] { return flag.load(); });
    };
  }
  void TearDown() override {
    flag = true;
    EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    for (auto s : {a, b}) cudaStreamDestroy(s);
    cudaEventDestroy(event);
    cudaFreeHost(number);
  }
  void launch_waiting(cudaStream_t stream) { launch(nothing, nullptr, 0, stream); }
  static void expect_done(cudaStream_t stream) {
    cudaError_t got;
    while ((got = cudaStreamQuery(stream)) == cudaErrorNotReady) {
    }
    EXPECT_EQ(got, cudaSuccess);
  }

  std::atomic<bool> flag = false, begun = false;
  cudaStream_t a = nullptr, b = nullptr;
  cudaEvent_t event = nullptr;
  int* number = nullptr;
};

TEST_F(Polling, QueryAnswersWhileTheKernelWaitsForTheHost) {
  launch_waiting(a);
  for (int i = 0; i < 100; i++) EXPECT_EQ(cudaStreamQuery(a), cudaErrorNotReady);
  spin_until([&] { return begun.load(); });
  EXPECT_EQ(cudaStreamQuery(a), cudaErrorNotReady);
  flag = true;
  expect_done(a);
}

TEST_F(Polling, QueryRunsNoMoreThanItNeeds) {
  launch(add, number, 1, a);
  cudaEventRecord(event, a);
  launch(add, number, 10, a);
  launch(add, number, 100, b);
  EXPECT_EQ(cudaEventQuery(event), cudaErrorNotReady);
  spin_until([&] { return cudaEventQuery(event) == cudaSuccess; });
  EXPECT_EQ(*number, 1);
  expect_done(a);
  EXPECT_EQ(*number, 11);
}

TEST_F(Polling, PointsInTheOrderAreDoneAtOnce) {
  cudaEventRecord(event, a);
  cudaStreamWaitEvent(b, event, 0);
  EXPECT_EQ(cudaStreamQuery(b), cudaSuccess);
  EXPECT_EQ(cudaEventQuery(event), cudaSuccess);
}

TEST_F(Polling, LegacyStreamWaitsForTheOthers) {
  cudaStream_t blocking[3];
  for (auto& s : blocking) {
    cudaStreamCreate(&s);
    launch_waiting(s);
  }
  for (int i = 0; i < 100; i++) EXPECT_EQ(cudaStreamQuery(nullptr), cudaErrorNotReady);
  launch(add, number, 1, blocking[0]);
  for (int i = 0; i < 100; i++) EXPECT_EQ(cudaStreamQuery(nullptr), cudaErrorNotReady);
  flag = true;
  expect_done(nullptr);
  EXPECT_EQ(*number, 1);
  for (auto s : blocking) cudaStreamDestroy(s);
}

/// Each query could leave a task behind.
TEST_F(Polling, MillionsOfQueriesLeaveNothingBehind) {
  cudaStream_t blocking[2];
  for (auto& s : blocking) {
    cudaStreamCreate(&s);
    launch_waiting(s);
  }
  EXPECT_EQ(cudaStreamQuery(nullptr), cudaErrorNotReady);
  sim::Lock lock(sim::state_mutex());
  sim::Stream& legacy = sim::find_stream(nullptr, 0);
  const sim::TaskPtr first = legacy.last;
  for (int i = 0; i < 10; i++) EXPECT_EQ(sim::marker(legacy), first);
  lock.unlock();
  flag = true;
  expect_done(nullptr);
  for (auto s : blocking) cudaStreamDestroy(s);
}

TEST_F(Polling, AWaitComesAfterAQuery) {
  launch_waiting(a);
  EXPECT_EQ(cudaStreamQuery(a), cudaErrorNotReady);
  std::thread other([&] { EXPECT_EQ(cudaStreamSynchronize(a), cudaSuccess); });
  flag = true;
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  other.join();
}

TEST_F(Polling, ManyThreadsQuery) {
  std::thread threads[4];
  for (auto& t : threads)
    t = std::thread([&] {
      cudaEvent_t mine = nullptr;
      cudaEventCreate(&mine);
      for (int i = 0; i < 50; i++) {
        launch(add, number, 1, cudaStreamPerThread);
        cudaEventRecord(mine, cudaStreamPerThread);
        spin_until([&] { return cudaEventQuery(mine) != cudaErrorNotReady; });
      }
      cudaEventDestroy(mine);
    });
  for (auto& t : threads) t.join();
  EXPECT_EQ(*number, 200);
}

TEST_F(Polling, HostFunctionsRunToo) {
  std::atomic<int> got = 0;
  launch(add, number, 5, a);
  call(a, [&] { got = *number; });
  launch(add, number, 5, a);
  expect_done(a);
  EXPECT_EQ(got, 5);
  EXPECT_EQ(*number, 10);
}

/// As on a card, where only what the function's stream has after it waits.
TEST_F(Polling, AHostFunctionThatWaitsForALockKeepsKernelsGoing) {
  std::mutex lock;
  std::unique_lock held(lock);
  std::atomic<bool> there = false;
  call(a, [&] {
    there = true;
    const std::lock_guard mine(lock);
  });
  EXPECT_EQ(cudaStreamQuery(a), cudaErrorNotReady);
  spin_until([&] { return there.load(); });
  launch(add, number, 1, b);
  EXPECT_EQ(cudaStreamSynchronize(b), cudaSuccess);
  launch(add, number, 1, b);
  expect_done(b);
  EXPECT_EQ(*number, 2);
  EXPECT_EQ(cudaStreamQuery(a), cudaErrorNotReady);
  held.unlock();
  expect_done(a);
}

/// What ran beside counts when the host waits for the device.
TEST_F(Polling, SimulatedTimeGoesOn) {
  cudaEvent_t end = nullptr;
  cudaEventCreate(&end);
  cudaEventRecord(event, b);
  for (int i = 0; i < 3; i++) launch(add, number, 1, a);
  expect_done(a);
  cudaDeviceSynchronize();
  cudaEventRecord(end, b);
  cudaEventSynchronize(end);
  float ms = 0;
  EXPECT_EQ(cudaEventElapsedTime(&ms, event, end), cudaSuccess);
  EXPECT_FLOAT_EQ(ms, 0.009f);  // a fake kernel takes 3 us
  cudaEventDestroy(end);
}

TEST_F(Polling, WorkThatNobodyWaitsForRunsAfterAWhile) {
  testing::internal::CaptureStderr();
  const auto begin = Clock::now();
  launch(add, number, 1, a);
  spin_until([&] { return *static_cast<volatile int*>(number) == 1; });
  EXPECT_GE(seconds_since(begin), 1.9);
  // A program that does so has shown that it does, and its queries say nothing of other streams.
  std::atomic<bool> called = false;
  call(b, [&] { called = true; });
  spin_until([&] { return cudaStreamQuery(a) == cudaSuccess && called; });
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_EQ(text,
            "sim: note: work has waited for 2 s and no thread of the program waits for it, so it "
            "runs now beside the program, as on a card; from here on a forgotten wait may go "
            "unseen\n");
}

TEST_F(Polling, NothingRunsBesideAProgramThatWaits) {
  int ran = 0;  // no atomic: it is this thread that runs it
  call(a, [&] { ran++; });
  for (int i = 0; i < 25; i++) {  // longer than 2 s together
    launch(add, number, 1, b);
    cudaStreamSynchronize(b);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    ASSERT_EQ(ran, 0);
  }
  cudaStreamSynchronize(a);
  EXPECT_EQ(ran, 1);
}

}  // namespace
