// Figures: NVIDIA's data sheets and architecture white papers of the three cards (H100 SXM5: tensor
// rates at 1.83 GHz, others at 1.98), and the table of limits per compute capability in the CUDA
// programming guide. Rates of memory are bus width times twice the memory clock. Rates of L2 and of
// the way to the host, and the RTX 4090's f64 products of matrices, are estimates. Persisting L2:
// 3/4 of it on the A100, 11/16 on the RTX 4090; on the H100 5/8, as the H200 answers.
#include "simulator/device/model.h"

#include <array>

#include "simulator/device/settings.h"

namespace sim {
namespace {

constexpr uint64_t KiB = 1 << 10, MiB = 1 << 20, GiB = 1 << 30;

DeviceModel h100() {
  DeviceModel m;
  m.key = "h100";
  m.name = "NVIDIA H100 80GB HBM3 (simulated)";
  m.major = 9, m.minor = 0;
  m.sms = 132;
  m.memory_bytes = 80 * GiB, m.l2_bytes = 50 * MiB, m.persisting_l2_bytes = m.l2_bytes / 8 * 5;
  m.shared_optin = 227 * KiB, m.shared_per_sm = 228 * KiB;
  m.clusters = true;
  m.clock_khz = 1980000, m.memory_clock_khz = 2619000, m.bus_bits = 5120;
  m.memory_gbs = 3352, m.l2_gbs = 5500, m.host_gbs = 55;
  m.f32_tflops = 66.9, m.f64_tflops = 33.5, m.f16_tflops = 133.8;
  m.l1_shared_per_sm = 256 * KiB;
  m.tensor_bf16_tflops = 989.4, m.tensor_tf32_tflops = 494.7, m.tensor_f64_tflops = 66.9;
  m.tensor_int8_tops = 1978.9;
  return m;
}

DeviceModel a100() {
  DeviceModel m;
  m.key = "a100";
  m.name = "NVIDIA A100-SXM4-80GB (simulated)";
  m.major = 8, m.minor = 0;
  m.sms = 108;
  m.memory_bytes = 80 * GiB, m.l2_bytes = 40 * MiB, m.persisting_l2_bytes = 30 * MiB;
  m.shared_optin = 163 * KiB, m.shared_per_sm = 164 * KiB;
  m.clock_khz = 1410000, m.memory_clock_khz = 1593000, m.bus_bits = 5120;
  m.memory_gbs = 2039, m.l2_gbs = 4000, m.host_gbs = 25;
  m.f32_tflops = 19.5, m.f64_tflops = 9.7, m.f16_tflops = 78;
  m.l1_shared_per_sm = 192 * KiB;
  m.tensor_bf16_tflops = 312, m.tensor_tf32_tflops = 156, m.tensor_f64_tflops = 19.5;
  m.tensor_int8_tops = 624;
  return m;
}

DeviceModel rtx4090() {
  DeviceModel m;
  m.key = "rtx4090";
  m.name = "NVIDIA GeForce RTX 4090 (simulated)";
  m.major = 8, m.minor = 9;
  m.sms = 128;
  m.memory_bytes = 24 * GiB, m.l2_bytes = 72 * MiB, m.persisting_l2_bytes = m.l2_bytes / 16 * 11;
  m.shared_optin = 99 * KiB, m.shared_per_sm = 100 * KiB;
  m.threads_per_sm = 1536, m.blocks_per_sm = 24;
  m.peers = false;  // as the driver says of this card
  m.copy_engines = 2;
  m.clock_khz = 2520000, m.memory_clock_khz = 10501000, m.bus_bits = 384;
  m.memory_gbs = 1008, m.l2_gbs = 5000, m.host_gbs = 25;
  m.f32_tflops = 82.6, m.f64_tflops = 1.29, m.f16_tflops = 82.6;
  m.l1_shared_per_sm = 128 * KiB;
  m.tensor_bf16_tflops = 165.2, m.tensor_tf32_tflops = 82.6, m.tensor_f64_tflops = 1.29;
  m.tensor_int8_tops = 660.6;
  m.f32_per_f64 = 64;
  return m;
}

const std::array<DeviceModel, 3>& models() {
  static const auto* const all = new std::array<DeviceModel, 3>{a100(), h100(), rtx4090()};
  return *all;
}

}  // namespace

std::span<const DeviceModel> device_models() { return models(); }

const DeviceModel* find_model(std::string_view key) {
  for (const DeviceModel& m : models())
    if (m.key == key) return &m;
  return nullptr;
}

std::string known_models() {
  std::string text;
  for (const DeviceModel& m : models()) text += (text.empty() ? "" : ", ") + m.key;
  return text;
}

const DeviceModel& device_model() {
  static const DeviceModel* const m = find_model(settings().device);
  return *m;
}

}  // namespace sim
