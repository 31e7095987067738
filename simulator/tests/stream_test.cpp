// The order of work: what may run when, against streams and events as the API makes them.
#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <set>
#include <string>
#include <thread>

#include "simulator/stream/stream.h"

namespace {

using namespace sim;

/// Letters in the order in which work ran.
std::string trace;

void note(cudaStream_t stream, char letter) {
  auto write = [](void* data) { trace += char(reinterpret_cast<uintptr_t>(data)); };
  ASSERT_EQ(cudaLaunchHostFunc(stream, write, reinterpret_cast<void*>(uintptr_t(letter))),
            cudaSuccess);
}

class Streams : public testing::Test {
 protected:
  void SetUp() override {
    trace.clear();
    cudaStreamCreate(&a);
    cudaStreamCreate(&b);
    cudaStreamCreateWithFlags(&free, cudaStreamNonBlocking);
    cudaEventCreate(&event);
  }
  void TearDown() override {
    cudaDeviceSynchronize();
    for (auto s : {a, b, free}) cudaStreamDestroy(s);
    cudaEventDestroy(event);
    cudaGetLastError();
  }
  cudaStream_t a = nullptr, b = nullptr, free = nullptr;
  cudaEvent_t event = nullptr;
};

TEST_F(Streams, NothingRunsUntilWaitedFor) {
  note(a, 'a');
  EXPECT_EQ(trace, "");
  cudaStreamSynchronize(b);
  EXPECT_EQ(trace, "");
  cudaStreamSynchronize(a);
  EXPECT_EQ(trace, "a");
}

TEST_F(Streams, OrderWithinAStream) {
  for (char c = '0'; c <= '9'; c++) note(a, c);
  cudaStreamSynchronize(a);
  EXPECT_EQ(trace, "0123456789");
}

TEST_F(Streams, WithoutASeedTheLastGoesFirst) {
  for (char c : {'1', '2'}) note(a, c);
  for (char c : {'x', 'y'}) note(b, c);
  cudaDeviceSynchronize();
  EXPECT_EQ(trace, "xy12");
}

/// Exits with the number of orders that were seen.
[[noreturn]] void interleave() {
  setenv("SIM_SEED", "5", 1);
  cudaStream_t a = nullptr, b = nullptr;
  cudaStreamCreate(&a);
  cudaStreamCreate(&b);
  std::set<std::string> seen;
  for (int i = 0; i < 200; i++) {
    trace.clear();
    for (char c : {'1', '2'}) note(a, c);
    for (char c : {'x', 'y'}) note(b, c);
    if (!trace.empty()) _exit(100);  // host functions never run before something waits for them
    cudaDeviceSynchronize();
    if (trace.find('1') > trace.find('2') || trace.find('x') > trace.find('y')) _exit(101);
    seen.insert(trace);
  }
  _exit(int(seen.size()));
}

TEST(StreamsDeath, ASeedInterleavesIndependentStreamsInEveryWay) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(interleave(), testing::ExitedWithCode(6), "");
}

TEST_F(Streams, EventOrdersTwoStreams) {
  for (int i = 0; i < 50; i++) {
    trace.clear();
    note(a, '1');
    cudaEventRecord(event, a);
    note(a, '2');
    cudaStreamWaitEvent(b, event, 0);
    note(b, 'x');
    cudaStreamSynchronize(b);
    EXPECT_EQ(trace, "1x");  // 2 was not needed
    cudaDeviceSynchronize();
  }
}

TEST_F(Streams, WaitIsForTheRecordThatWas) {
  note(a, '1');
  cudaEventRecord(event, a);
  cudaStreamWaitEvent(b, event, 0);
  note(a, '2');
  cudaEventRecord(event, a);
  note(b, 'x');
  cudaStreamSynchronize(b);
  EXPECT_EQ(trace, "1x");
}

TEST_F(Streams, WaitForAnEventNeverRecordedIsNothing) {
  EXPECT_EQ(cudaStreamWaitEvent(b, event, 0), cudaSuccess);
  EXPECT_EQ(cudaEventQuery(event), cudaSuccess);
  EXPECT_EQ(cudaEventSynchronize(event), cudaSuccess);
}

TEST_F(Streams, LegacyStreamWaitsForBlockingOnes) {
  for (int i = 0; i < 50; i++) {
    trace.clear();
    note(a, '1');
    note(b, '2');
    note(free, 'f');
    note(nullptr, 'L');
    note(a, '3');
    cudaStreamSynchronize(a);
    ASSERT_EQ(trace.size(), 4u);  // the non-blocking stream's work was not needed
    EXPECT_LT(std::max(trace.find('1'), trace.find('2')), trace.find('L'));
    EXPECT_EQ(trace.back(), '3');
    cudaDeviceSynchronize();
  }
}

TEST_F(Streams, NonBlockingStreamDoesNotWaitForLegacy) {
  note(nullptr, 'L');
  note(free, 'f');
  cudaStreamSynchronize(free);
  EXPECT_EQ(trace, "f");
  note(nullptr, 'M');
  cudaStreamSynchronize(cudaStreamLegacy);
  EXPECT_EQ(trace, "fLM");
}

TEST_F(Streams, WorkOfADestroyedStreamStillRunsAndLegacyWaitsForIt) {
  cudaStream_t s = nullptr;
  cudaStreamCreate(&s);
  note(s, 's');
  EXPECT_EQ(cudaStreamDestroy(s), cudaSuccess);
  EXPECT_EQ(trace, "");
  cudaStreamSynchronize(nullptr);
  EXPECT_EQ(trace, "s");
}

TEST_F(Streams, PerThreadStreamsAreApart) {
  note(cudaStreamPerThread, '1');
  std::thread([] {
    note(cudaStreamPerThread, '2');
    cudaStreamSynchronize(cudaStreamPerThread);
  }).join();
  EXPECT_EQ(trace, "2");
  cudaStreamSynchronize(cudaStreamPerThread);
  EXPECT_EQ(trace, "21");
  note(cudaStreamPerThread, '3');
  note(nullptr, 'L');  // blocking, as other streams
  cudaStreamSynchronize(nullptr);
  EXPECT_EQ(trace, "213L");
}

TEST_F(Streams, PerThreadDefaultMakesZeroTheThreadsStream) {
  note(a, 'a');
  {
    PerThreadDefault scope;
    note(nullptr, 't');
    cudaStreamSynchronize(nullptr);
  }
  EXPECT_EQ(trace, "t");
}

TEST_F(Streams, EventSynchronizeRunsNoMoreThanItNeeds) {
  note(a, '1');
  cudaEventRecord(event, a);
  note(a, '2');
  cudaEventSynchronize(event);
  EXPECT_EQ(trace, "1");
}

TEST_F(Streams, ElapsedTimeIsSimulated) {
  cudaEvent_t end = nullptr;
  cudaEventCreate(&end);
  void* p = nullptr;
  cudaMalloc(&p, 1 << 20);
  float ms = -1;
  EXPECT_EQ(cudaEventElapsedTime(&ms, event, end), cudaErrorInvalidResourceHandle);  // not recorded
  cudaEventRecord(event, a);
  cudaMemsetAsync(p, 0, 1 << 20, a);
  cudaEventRecord(end, a);
  EXPECT_EQ(cudaEventElapsedTime(&ms, event, end), cudaErrorNotReady);
  cudaEventSynchronize(end);
  EXPECT_EQ(cudaEventElapsedTime(&ms, event, end), cudaSuccess);
  EXPECT_GT(ms, 0.002f);
  EXPECT_LT(ms, 0.01f);
  float again = 0;
  cudaEventElapsedTime(&again, end, event);
  EXPECT_EQ(again, -ms);
  cudaFree(p);
  cudaEventDestroy(end);
}

TEST_F(Streams, NoTimeWithoutTiming) {
  cudaEvent_t plain = nullptr;
  cudaEventCreateWithFlags(&plain, cudaEventDisableTiming);
  cudaEventRecord(event, a);
  cudaEventRecord(plain, a);
  cudaStreamSynchronize(a);
  float ms = 0;
  EXPECT_EQ(cudaEventElapsedTime(&ms, event, plain), cudaErrorInvalidResourceHandle);
  cudaEventDestroy(plain);
}

TEST_F(Streams, HostFunctionsMayNotCallTheApi) {
  static cudaError_t got;
  auto body = [](void*) { got = cudaDeviceSynchronize(); };
  cudaLaunchHostFunc(a, body, nullptr);
  cudaStreamSynchronize(a);
  EXPECT_EQ(got, cudaErrorNotPermitted);
}

TEST_F(Streams, CallbacksGetTheirStream) {
  static cudaStream_t got;
  cudaStreamAddCallback(
      a, [](cudaStream_t s, cudaError_t, void*) { got = s; }, nullptr, 0);
  EXPECT_EQ(got, nullptr);
  cudaStreamSynchronize(a);
  EXPECT_EQ(got, a);
}

TEST_F(Streams, DeadHandlesAreRefused) {
  cudaStream_t s = nullptr;
  cudaStreamCreate(&s);
  cudaStreamDestroy(s);
  EXPECT_EQ(cudaStreamSynchronize(s), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaStreamDestroy(s), cudaErrorInvalidResourceHandle);
  cudaEvent_t e = nullptr;
  cudaEventCreate(&e);
  cudaEventDestroy(e);
  EXPECT_EQ(cudaEventRecord(e, a), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaEventCreateWithFlags(&e, 64), cudaErrorInvalidValue);
  EXPECT_EQ(cudaEventCreateWithFlags(&e, cudaEventInterprocess), cudaErrorInvalidValue);
  EXPECT_EQ(cudaStreamCreateWithFlags(&s, 8), cudaErrorInvalidValue);
}

TEST_F(Streams, TwoThreadsWaitAtOnce) {
  std::thread threads[2];
  for (int t = 0; t < 2; t++)
    threads[t] = std::thread([&, t] {
      const cudaStream_t s = t ? a : b;
      for (int i = 0; i < 200; i++) {
        note(s, char('a' + t));
        EXPECT_EQ(cudaStreamSynchronize(s), cudaSuccess);
      }
    });
  for (auto& t : threads) t.join();
  EXPECT_EQ(std::count(trace.begin(), trace.end(), 'a'), 200);
  EXPECT_EQ(trace.size(), 400u);
}

TEST_F(Streams, LongQueuesAreFast) {
  for (int i = 0; i < 100000; i++) note(i % 2 ? a : b, char('a' + i % 2));
  cudaDeviceSynchronize();
  EXPECT_EQ(trace.size(), 100000u);
}

}  // namespace
