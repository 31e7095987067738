#include "simulator/device/properties.h"

#include <algorithm>
#include <cstring>

namespace sim {

namespace {

void fill_compute(const DeviceModel& m, cudaDeviceProp& p) {
  p.major = m.major;
  p.minor = m.minor;
  p.multiProcessorCount = m.sms;
  p.warpSize = 32;
  p.regsPerBlock = int(m.registers_per_block);
  p.regsPerMultiprocessor = int(m.registers_per_sm);
  p.maxThreadsPerBlock = int(m.threads_per_block);
  p.maxThreadsPerMultiProcessor = int(m.threads_per_sm);
  p.maxBlocksPerMultiProcessor = int(m.blocks_per_sm);
  p.maxThreadsDim[0] = int(m.block_x);
  p.maxThreadsDim[1] = int(m.block_y);
  p.maxThreadsDim[2] = int(m.block_z);
  p.maxGridSize[0] = int(m.grid_x);
  p.maxGridSize[1] = int(m.grid_y);
  p.maxGridSize[2] = int(m.grid_z);
  p.concurrentKernels = 1;
  p.computePreemptionSupported = 1;
  p.cooperativeLaunch = 1;
  p.streamPrioritiesSupported = 1;
  p.asyncEngineCount = m.copy_engines;
}

void fill_memory(const DeviceModel& m, cudaDeviceProp& p) {
  p.totalGlobalMem = m.memory_bytes;
  p.totalConstMem = m.constant_bytes;
  p.sharedMemPerBlock = m.shared_per_block;
  p.sharedMemPerBlockOptin = m.shared_optin;
  p.sharedMemPerMultiprocessor = m.shared_per_sm;
  p.reservedSharedMemPerBlock = m.shared_reserved;
  p.l2CacheSize = int(m.l2_bytes);
  p.persistingL2CacheMaxSize = int(m.persisting_l2_bytes);
  p.accessPolicyMaxWindowSize = 128 << 20;
  p.memoryBusWidth = m.bus_bits;
  p.memPitch = 0x7fffffff;
  p.textureAlignment = 512;
  p.texturePitchAlignment = 32;
  p.surfaceAlignment = 512;
  p.globalL1CacheSupported = p.localL1CacheSupported = 1;
  p.unifiedAddressing = p.canMapHostMemory = 1;
  p.managedMemory = p.concurrentManagedAccess = 1;
  p.hostRegisterSupported = 1;
  p.memoryPoolsSupported = 1;
  p.ECCEnabled = m.bus_bits == 5120;  // the cards with HBM
}

}  // namespace

cudaDeviceProp properties_of(const DeviceModel& m, int device) {
  cudaDeviceProp p = {};
  std::strncpy(p.name, m.name.c_str(), sizeof p.name - 1);
  std::memcpy(p.uuid.bytes, "software gpu", 12);
  p.uuid.bytes[15] = char(device);
  p.pciBusID = device + 1;
  p.hostNumaId = -1;
  fill_compute(m, p);
  fill_memory(m, p);
  return p;
}

std::optional<int> attribute_of(const DeviceModel& m, int device, cudaDeviceAttr attribute) {
  if (attribute < 1 || attribute >= cudaDevAttrMax) return std::nullopt;
  const cudaDeviceProp p = properties_of(m, device);
  // clang-format off
  switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock: return p.maxThreadsPerBlock;
    case cudaDevAttrMaxBlockDimX: return p.maxThreadsDim[0];
    case cudaDevAttrMaxBlockDimY: return p.maxThreadsDim[1];
    case cudaDevAttrMaxBlockDimZ: return p.maxThreadsDim[2];
    case cudaDevAttrMaxGridDimX: return p.maxGridSize[0];
    case cudaDevAttrMaxGridDimY: return p.maxGridSize[1];
    case cudaDevAttrMaxGridDimZ: return p.maxGridSize[2];
    case cudaDevAttrMaxSharedMemoryPerBlock: return int(p.sharedMemPerBlock);
    case cudaDevAttrTotalConstantMemory: return int(p.totalConstMem);
    case cudaDevAttrWarpSize: return p.warpSize;
    case cudaDevAttrMaxPitch: return int(p.memPitch);
    case cudaDevAttrMaxRegistersPerBlock: return p.regsPerBlock;
    case cudaDevAttrClockRate: return m.clock_khz;
    case cudaDevAttrTextureAlignment: return int(p.textureAlignment);
    case cudaDevAttrGpuOverlap: return 1;
    case cudaDevAttrMultiProcessorCount: return p.multiProcessorCount;
    case cudaDevAttrCanMapHostMemory: return p.canMapHostMemory;
    case cudaDevAttrComputeMode: return cudaComputeModeDefault;
    case cudaDevAttrSurfaceAlignment: return int(p.surfaceAlignment);
    case cudaDevAttrConcurrentKernels: return p.concurrentKernels;
    case cudaDevAttrEccEnabled: return p.ECCEnabled;
    case cudaDevAttrPciBusId: return p.pciBusID;
    case cudaDevAttrPciDeviceId: return p.pciDeviceID;
    case cudaDevAttrPciDomainId: return p.pciDomainID;
    case cudaDevAttrMemoryClockRate: return m.memory_clock_khz;
    case cudaDevAttrGlobalMemoryBusWidth: return p.memoryBusWidth;
    case cudaDevAttrL2CacheSize: return p.l2CacheSize;
    case cudaDevAttrMaxThreadsPerMultiProcessor: return p.maxThreadsPerMultiProcessor;
    case cudaDevAttrAsyncEngineCount: return p.asyncEngineCount;
    case cudaDevAttrUnifiedAddressing: return p.unifiedAddressing;
    case cudaDevAttrTexturePitchAlignment: return int(p.texturePitchAlignment);
    case cudaDevAttrComputeCapabilityMajor: return p.major;
    case cudaDevAttrComputeCapabilityMinor: return p.minor;
    case cudaDevAttrStreamPrioritiesSupported: return p.streamPrioritiesSupported;
    case cudaDevAttrGlobalL1CacheSupported: return p.globalL1CacheSupported;
    case cudaDevAttrLocalL1CacheSupported: return p.localL1CacheSupported;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor: return int(p.sharedMemPerMultiprocessor);
    case cudaDevAttrMaxRegistersPerMultiprocessor: return p.regsPerMultiprocessor;
    case cudaDevAttrManagedMemory: return p.managedMemory;
    case cudaDevAttrSingleToDoublePrecisionPerfRatio: return m.f32_per_f64;
    case cudaDevAttrConcurrentManagedAccess: return p.concurrentManagedAccess;
    case cudaDevAttrComputePreemptionSupported: return p.computePreemptionSupported;
    case cudaDevAttrCooperativeLaunch: return p.cooperativeLaunch;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: return int(p.sharedMemPerBlockOptin);
    case cudaDevAttrHostRegisterSupported: return p.hostRegisterSupported;
    case cudaDevAttrMaxBlocksPerMultiprocessor: return p.maxBlocksPerMultiProcessor;
    case cudaDevAttrMaxPersistingL2CacheSize: return p.persistingL2CacheMaxSize;
    case cudaDevAttrMaxAccessPolicyWindowSize: return p.accessPolicyMaxWindowSize;
    case cudaDevAttrReservedSharedMemoryPerBlock: return int(p.reservedSharedMemPerBlock);
    case cudaDevAttrMemoryPoolsSupported: return p.memoryPoolsSupported;
    case cudaDevAttrMemSyncDomainCount: return 1;
    case cudaDevAttrNumaId: return -1;
    case cudaDevAttrHostNumaId: return p.hostNumaId;
    default: return 0;
  }
  // clang-format on
}

}  // namespace sim
