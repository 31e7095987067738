// Matrix products by cuBLASLt. Compiled, but not yet run: it needs a card.
//
// A row-major matrix is a column-major one of its transpose, so C' = B' A' is asked for, and the
// bias runs along C's columns, which is where the library wants it.
#include "kernels/cuda/providers/providers.h"

#if __has_include(<cublasLt.h>)

#include <cublasLt.h>

#include <array>
#include <stdexcept>

#include "kernels/cuda/providers/library.h"
#include "kernels/cuda/scratch.h"
#include "kernels/cuda/scratch_need.h"
#include "kernels/cuda/stream.h"
#include "kernels/elementwise.h"

namespace noisette::cuda::providers {
namespace {

struct Api {
  Library library{"libcublasLt.so.13", "libcublasLt.so.12"};
  decltype(&cublasLtGetVersion) get_version = nullptr;
  decltype(&cublasLtGetStatusString) status_text = nullptr;
  decltype(&cublasLtCreate) create = nullptr;
  decltype(&cublasLtDestroy) destroy = nullptr;
  decltype(&cublasLtMatmul) matmul = nullptr;
  decltype(&cublasLtMatmulAlgoGetHeuristic) guess = nullptr;
  decltype(&cublasLtMatmulDescCreate) create_product = nullptr;
  decltype(&cublasLtMatmulDescDestroy) destroy_product = nullptr;
  decltype(&cublasLtMatmulDescSetAttribute) set_product = nullptr;
  decltype(&cublasLtMatrixLayoutCreate) create_layout = nullptr;
  decltype(&cublasLtMatrixLayoutDestroy) destroy_layout = nullptr;
  decltype(&cublasLtMatrixLayoutSetAttribute) set_layout = nullptr;
  decltype(&cublasLtMatmulPreferenceCreate) create_wishes = nullptr;
  decltype(&cublasLtMatmulPreferenceDestroy) destroy_wishes = nullptr;
  decltype(&cublasLtMatmulPreferenceSetAttribute) set_wishes = nullptr;

  Api() {
    library.find(get_version, "cublasLtGetVersion");
    library.find(status_text, "cublasLtGetStatusString");
    library.find(create, "cublasLtCreate");
    library.find(destroy, "cublasLtDestroy");
    library.find(matmul, "cublasLtMatmul");
    library.find(guess, "cublasLtMatmulAlgoGetHeuristic");
    library.find(create_product, "cublasLtMatmulDescCreate");
    library.find(destroy_product, "cublasLtMatmulDescDestroy");
    library.find(set_product, "cublasLtMatmulDescSetAttribute");
    library.find(create_layout, "cublasLtMatrixLayoutCreate");
    library.find(destroy_layout, "cublasLtMatrixLayoutDestroy");
    library.find(set_layout, "cublasLtMatrixLayoutSetAttribute");
    library.find(create_wishes, "cublasLtMatmulPreferenceCreate");
    library.find(destroy_wishes, "cublasLtMatmulPreferenceDestroy");
    library.find(set_wishes, "cublasLtMatmulPreferenceSetAttribute");
  }
};
Api& api() {
  static Api a;
  return a;
}

void ask(cublasStatus_t status) {
  if (status != CUBLAS_STATUS_SUCCESS)
    throw std::runtime_error("[cuBLASLt] " + std::string(api().status_text(status)));
}

/// A matrix of the library's, batch by batch: rows of ours are its columns.
class Layout {
 public:
  Layout(cudaDataType_t type, int64_t batch, int64_t rows, int64_t cols) {
    ask(api().create_layout(&layout_, type, uint64_t(cols), uint64_t(rows), cols));
    set(CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, int32_t(batch));
    set(CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, rows * cols);
  }
  ~Layout() { (void)api().destroy_layout(layout_); }
  Layout(const Layout&) = delete;
  Layout& operator=(const Layout&) = delete;
  cublasLtMatrixLayout_t get() const { return layout_; }

 private:
  template <class V>
  void set(cublasLtMatrixLayoutAttribute_t attribute, V value) {
    ask(api().set_layout(layout_, attribute, &value, sizeof value));
  }
  cublasLtMatrixLayout_t layout_ = nullptr;
};

/// What all plans of a work share.
class Product {
 public:
  explicit Product(const Work& work)
      : d_(std::get<MatmulDims>(work.dims)),
        rounds_bias_(work.bias && work.bf16),
        bias_(work.bias),
        added_(work.added),
        a_(type_of(work.bf16), d_.batch, d_.trans_a ? d_.k : d_.m, d_.trans_a ? d_.m : d_.k),
        b_(type_of(work.bf16), d_.batch, d_.trans_b ? d_.n : d_.k, d_.trans_b ? d_.k : d_.n),
        c_(type_of(work.bf16 && work.operation == Operation::matmul), d_.batch, d_.m, d_.n) {
    ask(api().create_product(
        &product_, work.tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F));
    set(CUBLASLT_MATMUL_DESC_TRANSA, int32_t(d_.trans_b ? CUBLAS_OP_T : CUBLAS_OP_N));
    set(CUBLASLT_MATMUL_DESC_TRANSB, int32_t(d_.trans_a ? CUBLAS_OP_T : CUBLAS_OP_N));
    if (bias_) set(CUBLASLT_MATMUL_DESC_EPILOGUE, int32_t(CUBLASLT_EPILOGUE_BIAS));
  }
  ~Product() { (void)api().destroy_product(product_); }
  Product(const Product&) = delete;
  Product& operator=(const Product&) = delete;

  /// Algorithms without atomics.
  std::vector<cublasLtMatmulHeuristicResult_t> guesses(cublasLtHandle_t handle) const {
    cublasLtMatmulPreference_t wishes = nullptr;
    ask(api().create_wishes(&wishes));
    const auto wish = [&](cublasLtMatmulPreferenceAttributes_t attribute, auto value) {
      ask(api().set_wishes(wishes, attribute, &value, sizeof value));
    };
    wish(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, uint64_t(kWorkspace));
    wish(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
         uint32_t(CUBLASLT_REDUCTION_SCHEME_NONE | CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
    for (const auto alignment :
         {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
          CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
      wish(alignment, uint32_t(16));
    std::vector<cublasLtMatmulHeuristicResult_t> found(kMostPlans);
    int count = 0;
    const cublasStatus_t status = api().guess(handle, product_, b_.get(), a_.get(), c_.get(),
                                              c_.get(), wishes, kMostPlans, found.data(), &count);
    (void)api().destroy_wishes(wishes);
    found.resize(status == CUBLAS_STATUS_SUCCESS ? std::size_t(count) : 0);
    return found;
  }

  void run(cublasLtHandle_t handle, const cublasLtMatmulHeuristicResult_t& algorithm,
           const Operands& o) const {
    Scratch scratch;
    if (bias_) {
      const void* bias = o.in[Operands::kBias];
      if (rounds_bias_) {  // a result in bf16 has a bias in bf16 here
        bfloat16* const rounded = scratch.take<bfloat16>(d_.n);
        cast(o.input<float>(Operands::kBias), rounded, d_.n);
        bias = rounded;
      }
      set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
    }
    const float one = 1, beta = added_ == Addend::none ? 0 : 1;
    const void* const c = added_ == Addend::apart ? o.in[Operands::kAdded] : o.out[0];
    ask(api().matmul(handle, product_, &one, o.in[1], b_.get(), o.in[0], a_.get(), &beta, c,
                     c_.get(), o.out[0], c_.get(), &algorithm.algo,
                     workspace(algorithm.workspaceSize), algorithm.workspaceSize, stream()));
  }

 private:
  static cudaDataType_t type_of(bool bf16) { return bf16 ? CUDA_R_16BF : CUDA_R_32F; }
  template <class V>
  void set(cublasLtMatmulDescAttributes_t attribute, V value) const {
    ask(api().set_product(product_, attribute, &value, sizeof value));
  }

  MatmulDims d_;
  bool rounds_bias_, bias_;
  Addend added_;
  Layout a_, b_, c_;
  cublasLtMatmulDesc_t product_ = nullptr;
};

class ProductPlan final : public Plan {
 public:
  ProductPlan(cublasLtHandle_t handle, std::shared_ptr<const Product> product,
              const cublasLtMatmulHeuristicResult_t& algorithm)
      : handle_(handle), product_(std::move(product)), algorithm_(algorithm) {}
  void run(const Operands& operands) override { product_->run(handle_, algorithm_, operands); }

 private:
  cublasLtHandle_t handle_;
  std::shared_ptr<const Product> product_;
  cublasLtMatmulHeuristicResult_t algorithm_;
};

class CublasLt final : public Provider {
 public:
  CublasLt() { ask(api().create(&handle_)); }
  ~CublasLt() override { (void)api().destroy(handle_); }
  CublasLt(const CublasLt&) = delete;
  CublasLt& operator=(const CublasLt&) = delete;

  std::string name() const override { return "cuBLASLt"; }
  std::string version() const override { return version_text(api().get_version()); }
  std::vector<std::unique_ptr<Plan>> plans(const Work& work) override {
    std::vector<std::unique_ptr<Plan>> all;
    if (!std::holds_alternative<MatmulDims>(work.dims)) return all;
    const auto product = std::make_shared<const Product>(work);
    for (const auto& algorithm : product->guesses(handle_))
      all.push_back(std::make_unique<ProductPlan>(handle_, product, algorithm));
    return all;
  }

 private:
  cublasLtHandle_t handle_ = nullptr;
};

}  // namespace

std::unique_ptr<Provider> open_cublaslt() {
  if (!api().library.complete()) return nullptr;
  return std::make_unique<CublasLt>();
}

}  // namespace noisette::cuda::providers

#else

namespace noisette::cuda::providers {
std::unique_ptr<Provider> open_cublaslt() { return nullptr; }
}  // namespace noisette::cuda::providers

#endif
