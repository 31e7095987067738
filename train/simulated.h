// A kernel case on the software GPU (simulator/): the program runs itself there, in another
// process, and reads the profile that it left.
#pragma once
#include <filesystem>
#include <string>

#include "train/kernel_cases.h"

namespace noisette {

/// What the software GPU counted of one call. Ratios are NaN where they mean nothing.
struct KernelFigures {
  int64_t launches = 0;
  int64_t registers = 0;      // most of one thread
  int64_t spilled = 0;        // bytes that any of its kernels stores and loads
  int64_t conflicts = 0;      // turns of shared memory's banks beyond the least
  double sectors = 0;         // that warps asked for, over the least that their bytes fill
  double dram = 0;            // bytes that reach memory, over the least_bytes of the case
  double traffic = 0;         // bytes that warps asked for, over the tile_bytes of the case
  double others_per_mma = 0;  // instructions of PTX in the main loop, for each product
  double useful = 0;          // share of the products' arithmetic that counts
  double microseconds = 0;    // estimated
  std::string bound;          // what bounds the longest of its kernels, by that estimate
};

/// The folder with the software GPU's libcudart, beside the program: build/simulator.
std::filesystem::path simulator_folder();

/// Runs `program bench kernels --run NAME` with the library of `simulator` in front. Throws Error
/// when it fails, with what it said.
KernelFigures simulate(const KernelCase& c, const std::string& card,
                       const std::filesystem::path& simulator);

}  // namespace noisette
