// Devices, properties, settings, peers. Settings are read once: each other one needs a process.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>

#include "simulator/device/model.h"
#include "simulator/device/settings.h"

namespace {

using testing::ExitedWithCode;

/// Runs `body` in a process that has read nothing yet, with one variable set.
#define EXPECT_WITH(name, value, body, code, message) \
  EXPECT_EXIT(                                        \
      {                                               \
        setenv(name, value, 1);                       \
        body;                                         \
        _exit(0);                                     \
      },                                              \
      ExitedWithCode(code), message)

class ApiDeviceDeath : public testing::Test {};

int attribute(cudaDeviceAttr which) {
  int value = -1;
  EXPECT_EQ(cudaDeviceGetAttribute(&value, which, 0), cudaSuccess);
  return value;
}

TEST(ApiDevice, PropertiesAndAttributesAgree) {
  cudaDeviceProp p;
  ASSERT_EQ(cudaGetDeviceProperties(&p, 0), cudaSuccess);
  EXPECT_NE(std::strstr(p.name, "simulated"), nullptr);
  EXPECT_EQ(p.major, 9);
  EXPECT_EQ(p.multiProcessorCount, 132);
  EXPECT_EQ(p.sharedMemPerBlockOptin, 227u << 10);
  EXPECT_EQ(attribute(cudaDevAttrComputeCapabilityMajor), p.major);
  EXPECT_EQ(attribute(cudaDevAttrMultiProcessorCount), p.multiProcessorCount);
  EXPECT_EQ(attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin), int(p.sharedMemPerBlockOptin));
  EXPECT_EQ(attribute(cudaDevAttrWarpSize), 32);
  int value = 0;
  EXPECT_EQ(cudaDeviceGetAttribute(&value, cudaDeviceAttr(255), 0), cudaErrorInvalidValue);
  EXPECT_EQ(cudaDeviceGetAttribute(&value, cudaDevAttrWarpSize, 1), cudaErrorInvalidDevice);
}

TEST(ApiDevice, OneDeviceByDefault) {
  int count = 0, device = -1;
  cudaGetDeviceCount(&count);
  EXPECT_EQ(count, 1);
  EXPECT_EQ(cudaSetDevice(1), cudaErrorInvalidDevice);
  EXPECT_EQ(cudaSetDevice(-1), cudaErrorInvalidDevice);
  EXPECT_EQ(cudaGetDevice(&device), cudaSuccess);
  EXPECT_EQ(device, 0);
  char id[16];
  EXPECT_EQ(cudaDeviceGetPCIBusId(id, 16, 0), cudaSuccess);
  EXPECT_EQ(cudaDeviceGetByPCIBusId(&device, id), cudaSuccess);
  EXPECT_EQ(device, 0);
}

TEST(ApiDevice, LimitsAreKept) {
  size_t value = 0;
  EXPECT_EQ(cudaDeviceSetLimit(cudaLimitMallocHeapSize, 1 << 25), cudaSuccess);
  EXPECT_EQ(cudaDeviceGetLimit(&value, cudaLimitMallocHeapSize), cudaSuccess);
  EXPECT_EQ(value, 1u << 25);
  EXPECT_EQ(cudaDeviceGetLimit(&value, cudaLimit(7)), cudaErrorInvalidValue);
}

TEST(ApiDevice, ModelsDiffer) {
  for (const char* key : {"h100", "a100", "rtx4090"}) {
    const sim::DeviceModel* m = sim::find_model(key);
    ASSERT_NE(m, nullptr) << key;
    EXPECT_EQ(m->key, key);
    EXPECT_EQ(m->shared_per_sm - m->shared_optin, m->shared_reserved);
    EXPECT_GT(m->memory_gbs, 1000);
  }
  EXPECT_EQ(sim::find_model("rtx4090")->threads_per_sm, 1536u);
  EXPECT_EQ(sim::find_model("gtx"), nullptr);
}

TEST_F(ApiDeviceDeath, UnknownSettingsAreRefused) {
  EXPECT_WITH("SIM_DEVICE", "gtx", cudaFree(nullptr), 2,
              "sim: SIM_DEVICE must be one of a100, h100, rtx4090; got 'gtx'");
  EXPECT_WITH("SIM_DEVICES", "0", cudaFree(nullptr), 2,
              "SIM_DEVICES must be a number from 1 to 16");
  EXPECT_WITH("SIM_SEED", "7x", cudaFree(nullptr), 2, "SIM_SEED must be a whole number; got '7x'");
  EXPECT_WITH("SIM_CHECKS", "maybe", cudaFree(nullptr), 2, "SIM_CHECKS must be on, off or all");
  EXPECT_WITH("SIM_APPROX", "wild", cudaFree(nullptr), 2, "SIM_APPROX must be exact or perturb");
}

TEST_F(ApiDeviceDeath, OtherCards) {
  auto check = [] {
    cudaDeviceProp p;
    cudaGetDeviceProperties(&p, 0);
    _exit(p.major * 10 + p.minor);
  };
  EXPECT_WITH("SIM_DEVICE", "a100", check(), 80, "");
  EXPECT_WITH("SIM_DEVICE", "rtx4090", check(), 89, "");
}

TEST_F(ApiDeviceDeath, ChecksOffGivesCodes) {
  auto check = [] {
    void* p = nullptr;
    char host[16];
    cudaMalloc(&p, 16);
    if (cudaMemcpy(host, p, 16, cudaMemcpyDeviceToHost) != cudaSuccess) _exit(3);
    if (cudaMemcpy(host, p, 17, cudaMemcpyDeviceToHost) != cudaErrorInvalidValue) _exit(4);
    cudaFree(p);
    if (cudaFree(p) != cudaErrorInvalidValue) _exit(5);
  };
  EXPECT_WITH("SIM_CHECKS", "off", check(), 0, "");
}

void two_devices() {
  auto require = [](bool ok, int code) {
    if (!ok) _exit(code);
  };
  int can = 0, value = 7, out = 0;
  void *a = nullptr, *b = nullptr;
  cudaStream_t stream = nullptr, other = nullptr;
  require(cudaDeviceCanAccessPeer(&can, 0, 1) == cudaSuccess && can == 1, 10);
  require(cudaDeviceCanAccessPeer(&can, 0, 0) == cudaSuccess && can == 0, 11);
  require(cudaDeviceEnablePeerAccess(1, 0) == cudaSuccess, 12);
  require(cudaDeviceEnablePeerAccess(1, 0) == cudaErrorPeerAccessAlreadyEnabled, 13);
  require(cudaDeviceEnablePeerAccess(0, 0) == cudaErrorInvalidDevice, 14);
  require(cudaDeviceDisablePeerAccess(1) == cudaSuccess, 15);
  require(cudaDeviceDisablePeerAccess(1) == cudaErrorPeerAccessNotEnabled, 16);
  cudaMalloc(&a, 4);
  cudaStreamCreate(&stream);
  cudaSetDevice(1);
  cudaMalloc(&b, 4);
  cudaStreamCreate(&other);
  cudaMemcpy(a, &value, 4, cudaMemcpyDefault);
  require(cudaMemcpyPeer(b, 1, a, 0, 4) == cudaSuccess, 17);
  cudaMemcpy(&out, b, 4, cudaMemcpyDefault);
  require(out == 7, 18);
  cudaEvent_t event = nullptr;
  cudaEventCreate(&event);
  require(cudaEventRecord(event, stream) == cudaErrorInvalidResourceHandle, 19);  // of device 0
  require(cudaEventRecord(event, other) == cudaSuccess, 20);
  require(cudaStreamWaitEvent(stream, event, 0) == cudaSuccess, 21);
  cudaPointerAttributes attributes;
  cudaPointerGetAttributes(&attributes, b);
  require(attributes.device == 1, 22);
}

/// What the second device holds is watched as what the first does.
void* on_second_device() {
  void *first = nullptr, *second = nullptr;
  cudaMalloc(&first, 8);
  cudaSetDevice(1);
  cudaMalloc(&second, 16);
  cudaSetDevice(0);
  cudaFree(first);
  return second;
}

void leak_there() {
  on_second_device();
  std::exit(0);
}

void free_there_twice() {
  void* p = on_second_device();
  cudaFree(p);  // whatever the current device
  cudaFree(p);
}

void touch_there() {
  const volatile char* p = static_cast<char*>(on_second_device());
  _exit(p[3]);
}

void reset_one() {
  void *first = nullptr, *pool = nullptr, *second = on_second_device();
  cudaMalloc(&first, 8);
  cudaMallocAsync(&pool, 8, nullptr);
  cudaStream_t stream = nullptr, there = nullptr;
  cudaEvent_t event = nullptr;
  cudaStreamCreate(&stream);
  cudaEventCreate(&event);
  cudaSetDevice(1);
  cudaStreamCreate(&there);
  cudaSetDevice(0);
  cudaDeviceReset();
  if (cudaStreamSynchronize(stream) != cudaErrorInvalidResourceHandle) _exit(5);
  if (cudaEventSynchronize(event) != cudaErrorInvalidResourceHandle) _exit(6);
  if (cudaStreamSynchronize(there) != cudaSuccess) _exit(7);
  // stream-ordered memory is still there
  if (cudaMemset(pool, 0, 8) != cudaSuccess || cudaFreeAsync(pool, nullptr) != cudaSuccess)
    _exit(8);
  if (cudaMemset(second, 0, 16) != cudaSuccess || cudaFree(second) != cudaSuccess) _exit(3);
  uint64_t used = 1;
  cudaMemPool_t handle = nullptr;
  cudaDeviceGetDefaultMemPool(&handle, 0);
  cudaMemPoolGetAttribute(handle, cudaMemPoolAttrUsedMemCurrent, &used);
  if (used != 0) _exit(4);
  std::exit(0);  // nothing is left that could leak
}

TEST_F(ApiDeviceDeath, ChecksOnEveryDevice) {
  EXPECT_WITH("SIM_DEVICES", "2", leak_there(), 86, "sim: leak: 16 bytes");
  EXPECT_WITH("SIM_DEVICES", "2", free_there_twice(), 86, "sim: double free");
  EXPECT_WITH("SIM_DEVICES", "2", touch_there(), 86, "sim: host access to device memory");
  EXPECT_WITH("SIM_DEVICES", "2", reset_one(), 0, "");
}

TEST_F(ApiDeviceDeath, TwoDevices) { EXPECT_WITH("SIM_DEVICES", "2", two_devices(), 0, ""); }

}  // namespace
