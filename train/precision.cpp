#include "train/precision.h"

#include <spdlog/spdlog.h>

#include <mutex>

#include "framework/core/dispatch.h"
#include "framework/report/sysinfo.h"

namespace noisette {
namespace {

bool bf16_is_kept = false;

}  // namespace

Precision precision_of(const std::string& name) {
  return name == "bf16" ? Precision::bf16 : Precision::f32;
}

DType element_type(Precision p) { return p == Precision::bf16 ? DType::bf16 : DType::f32; }

bool cpu_has_bf16() {
  static const bool has = [] {
    for (const std::string& flag : system_info().cpu_flags)
      if (flag == "avx512_bf16" || flag == "amx_bf16") return true;
    return false;
  }();
  return has;
}

void use_supported_precision(TrainConfig& config) {
  if (config.run.precision != Precision::bf16 || !config.run.device().is_cpu()) return;
  if (cpu_has_bf16() || bf16_is_kept) return;
  config.run.precision = Precision::f32;
  static std::once_flag once;
  std::call_once(once, [] {
    spdlog::warn("this CPU has no bf16 arithmetic (AVX512-BF16 or AMX): f32 is used instead");
  });
}

void keep_bf16(bool keep) { bf16_is_kept = keep; }

void check_device(Device device) {
  if (device.type != DeviceType::cuda) return;
  check_user(kHasCuda, "[device] {} was asked for, and this build of noisette has no CUDA", device);
#ifdef NOISETTE_CUDA
  const int count = cuda::device_count();
  check_user(device.index < count, "[device] there is no {}; CUDA devices on this machine: {}",
             device, count);
#endif
}

void use_tf32([[maybe_unused]] const TrainConfig& config) {
  NOISETTE_CUDA_CALL(allow_tf32, config.run.tf32);
}

}  // namespace noisette
