// The cards that can be simulated: limits that programs run into and rates for the estimates.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace sim {

struct DeviceModel {
  std::string key;   // of SIM_DEVICE
  std::string name;  // as the card calls itself
  int major = 0, minor = 0;
  int sms = 0;
  uint64_t memory_bytes = 0, l2_bytes = 0, persisting_l2_bytes = 0;

  // Shared memory, in bytes. A block takes what it asks for, what is reserved, rounded to a unit.
  uint32_t shared_per_block = 48 << 10, shared_optin = 0, shared_per_sm = 0;
  uint32_t shared_reserved = 1 << 10, shared_unit = 128;
  uint32_t registers_per_sm = 65536, registers_per_block = 65536, registers_per_thread = 255;
  uint32_t register_unit = 256;  // registers that a warp takes are a multiple of this
  uint32_t threads_per_block = 1024, threads_per_sm = 2048, blocks_per_sm = 32;
  uint32_t block_x = 1024, block_y = 1024, block_z = 64;
  uint32_t grid_x = 0x7fffffff, grid_y = 65535, grid_z = 65535;
  uint32_t param_bytes = 32764;  // of a kernel, since CUDA 12.1
  uint64_t constant_bytes = 64 << 10;
  bool clusters = false;
  bool peers = true;  // devices reach each other's memory
  int copy_engines = 3;

  // Rates. TFLOP/s are dense and with f32 sums.
  int clock_khz = 0, memory_clock_khz = 0, bus_bits = 0;
  double memory_gbs = 0, l2_gbs = 0, host_gbs = 0;
  double f32_tflops = 0, f64_tflops = 0, f16_tflops = 0;  // without tensor cores
  double tensor_bf16_tflops = 0, tensor_tf32_tflops = 0, tensor_f64_tflops = 0,
         tensor_int8_tops = 0;
  int f32_per_f64 = 2;  // ratio of their rates

  uint32_t l1_shared_per_sm = 0;  // bytes of L1 and shared memory together

  int arch() const { return major * 10 + minor; }
};

/// Nanoseconds of simulated time that any kernel or copy takes before it begins.
inline constexpr double kStartTime = 2000;

/// All cards.
std::span<const DeviceModel> device_models();
/// nullptr where no card has that key.
const DeviceModel* find_model(std::string_view key);
/// "a100, h100, rtx4090"
std::string known_models();
/// The one that SIM_DEVICE asks for.
const DeviceModel& device_model();

}  // namespace sim
