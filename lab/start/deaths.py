"""The usual deaths of containers: how each shows in a log, what it is, and what helps.

A table and nothing else; ``lab.start.explain`` looks things up in it. Of several that fit, the
first counts, so what is specific stands above what is general.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from lab.spec import MODEL_DIR


@dataclass(frozen=True, kw_only=True)
class UsualDeath:
    """One way to die. ``what`` and ``cure`` are filled in from the named groups of its signs."""

    kind: str
    """For programs; several rows may share one."""
    what: str
    """A part of a sentence, to stand behind a colon."""
    cure: str
    """What to change, imperative."""
    signs: tuple[str, ...] = ()
    """Regular expressions; one has to be found in a line."""
    within: str = ""
    """What has to be found in the same traceback, or else the whole log, too."""
    signals: tuple[int, ...] = ()
    """Signals that process 1 died of, which say the same without a word in the log."""
    codes: tuple[int, ...] = ()
    """Exit codes that do."""
    weak: bool = False
    """It follows from something that may be known better: it counts where nothing else fits."""


_SHOW: Final = "`docker run --rm -p 8080:8080 IMAGE serve` shows it without the lab"
_OWN: Final = "what your own code brings has to be copied to where WORKDIR or PYTHONPATH looks"

KERNEL_OOM: Final = UsualDeath(
    kind="oom_killed",
    what="the kernel killed a process of it for want of memory",
    cure=(
        "Give it more memory, or load less: every worker loads a copy of the model (one worker, "
        "or loading before the fork, as gunicorn's --preload does)."
    ),
)

EXCEPTION: Final = UsualDeath(
    kind="exception",
    what="{line}",
    cure=f"Mend what the log's error names; {_SHOW}.",
)
ERROR_LINE: Final = UsualDeath(kind="error", what="{line}", cure=EXCEPTION.cure)
UNKNOWN: Final = UsualDeath(
    kind="unknown",
    what="it does not say why; its log ends with: {line}",
    cure=f"Let the server say why it ends, on stderr; {_SHOW}, with "
    "`-v MODEL_FOLDER:/opt/ml/model:ro` if it needs a model.",
)
SILENT: Final = UsualDeath(
    kind="silent",
    what="it has logged nothing",
    cure="Let the entry point say what it does, on stderr (PYTHONUNBUFFERED=1 for Python); "
    "`docker run --rm -it --entrypoint sh IMAGE` is a shell in which to try it by hand.",
)
ENDED: Final = UsualDeath(
    kind="ended",
    what="the entry point came to its end without an error, and what it began ended with it",
    cure="Let the server run in the foreground, as the last thing that the entry point does: "
    "`exec gunicorn ...` without --daemon, `nginx -g 'daemon off;'`, `wait` for what a script "
    "put into the background.",
)
VAGUE: Final = frozenset(row.kind for row in (EXCEPTION, ERROR_LINE, UNKNOWN, SILENT, ENDED))
"""Kinds that only name an error."""

NO_INTERPRETER: Final = UsualDeath(
    kind="no_interpreter",
    what="{path} is there, but {interpreter}, which runs it, is not in the image",
    cure="Correct its first line (`#!/bin/sh`, `#!/usr/bin/env python3`), or install the "
    "interpreter.",
)
NO_LOADER: Final = UsualDeath(
    kind="no_interpreter",
    what="{path} is there, but not the loader that it was linked for: it was built on another "
    "distribution (Alpine's musl or glibc)",
    cure="Build it on the distribution of the image, or link it statically.",
)
CRLF: Final = UsualDeath(
    kind="crlf",
    what="the lines of {path} end in CRLF, so that its interpreter is looked for with a carriage "
    "return in its name",
    cure="Store it with Unix line ends: `sed -i 's/\\r$//' {file}` before the build, and "
    "`* text=auto eol=lf` in .gitattributes so that it stays so.",
    signs=(
        r"(?:env|exec): .*\\r['\"]?: No such file",
        r"(?P<path>\S+): (?:\S*/)?\S*(?:\\r|\^M): bad interpreter",
        (
            r"(?P<path>[^\s:]*): (?:line )?\d+: .*(?:\\r|\^M)['\"]?: "
            r"(?:not found|command not found|No such file|invalid option)"
        ),
        r"(?P<path>[^\s:]*): \d+: set: Illegal option -$",
        r"\\r['\"]?: (?:command not found|No such file or directory)",
    ),
)
UNSEEN_INTERPRETER: Final = UsualDeath(
    kind="no_interpreter",
    what="{path} is there, but what its first line names is not: most often its lines end in CRLF",
    cure="Store it with Unix line ends (`sed -i 's/\\r$//' {file}`), or install the interpreter "
    "that its first line names.",
    signs=(
        r"^exec (?P<path>\S+): no such file or directory",
        r"(?P<path>/\S+): cannot execute: required file not found",
    ),
)
ARCHIVE_DEPTH: Final = UsualDeath(
    kind="archive_depth",
    what="{path} is not there, but {found} is: the archive is laid out one folder too deep",
    cure="Pack what is in the folder, not the folder: `tar -C {folder} -czf model.tar.gz .`.",
)
MODEL_FILE: Final = UsualDeath(
    kind="model_file",
    what="{path} is not there; {listing}",
    cure="Put the file into model.tar.gz under that very name, at its top level, or look for the "
    "name that is there (SageMaker unpacks the archive into /opt/ml/model).",
    signs=(
        (
            rf"(?:No such file|not found|NotFound|does not exist|doesn't exist|ENOENT|NoSuchFile"
            rf"|NO_SUCHFILE|[Nn]o file named|[Cc]annot open|[Uu]nable to open|FileNotFound).*?"
            rf"(?P<path>{MODEL_DIR}(?:/[^\s'\",:;)\]}}]*)?)"
        ),
        (
            rf"(?P<path>{MODEL_DIR}(?:/[^\s'\",:;)\]}}]*)?).*?"
            r"(?:No such file|not found|does not exist|doesn't exist|cannot be opened|FileNotFound)"
        ),
    ),
)
NO_MODEL: Final = UsualDeath(
    kind="model_file",
    what="{path} is not there; it was given no model",
    cure="Give it its model: --model-data model.tar.gz here, ModelDataUrl on SageMaker; or copy "
    "the model into the image elsewhere than under /opt/ml/model.",
)
THREADS: Final = UsualDeath(
    kind="threads",
    what="it may start no further thread or process",
    cure="Start fewer: OMP_NUM_THREADS, OPENBLAS_NUM_THREADS and MKL_NUM_THREADS (each worker "
    "starts so many), fewer workers, one pool instead of a thread for each request. SageMaker "
    "publishes no limit; here it is the engine's. At the very first thread it is a Docker older "
    "than 20.10.10 under a new distribution.",
    signs=(
        r"can't start new thread",
        r"pthread_create.*(?:failed|Resource temporarily unavailable|EAGAIN)",
        r"unable to create (?:new )?native thread|Failed to start thread",
        r"failed to create new OS thread|fatal error: newosproc",
        r"Thread creation failed|libgomp: .*[Tt]hread",
        r"fork.{0,40}Resource temporarily unavailable|[Cc]annot fork\b|can't fork\b",
        r"(?:clone|uv_thread_create|spawn)\b.*(?:EAGAIN|Resource temporarily unavailable)",
        r"(?:_fork_exec|os\.fork|_execute_child|start_new_thread).*Resource temporarily",
        r"BlockingIOError: \[Errno 11\] Resource temporarily unavailable",
        r"system_error.*Resource temporarily unavailable|what\(\): +Resource temporarily",
    ),
)
SHM: Final = UsualDeath(
    kind="shm_full",
    what="/dev/shm is full, which has 64 MB on SageMaker",  # noqa: S108
    cure="Use less shared memory: no DataLoader workers (num_workers=0), "
    "torch.multiprocessing.set_sharing_strategy('file_system'), a smaller "
    "--shm-default-byte-size for Triton; put files into /tmp. SageMaker has no setting for it.",
    signs=(
        r"/dev/shm.*No space left",  # noqa: S108
        r"No space left.*/dev/shm",
        r"killed by signal: Bus error",
        r"(?:insufficient|out of|increase the) shared memory",
        r"shared memory (?:pool|segment|key)\b.*(?:size|/dev/shm|/nccl-)",
        r"--shm-size\b",
        r"unable to (?:write to|mmap .* from|allocate shared memory \(shm\) for) file </torch_",
        (
            r"(?:open|create|creating|resize|write|map|truncate|initiali[sz]e|allocate)\w* "
            r"(?:the )?shared memory(?!.*Too many open files)"
        ),
    ),
)
BUS_ERROR: Final = UsualDeath(
    kind="bus_error",
    what="it crashed with a bus error (SIGBUS): most often /dev/shm is full, which has 64 MB on "
    "SageMaker; else a file that it had mapped became shorter",
    cure=f"{SHM.cure} A model file that is mapped (mmap) must not be written anew meanwhile.",
    signs=(
        r"^(?:\S+: )?(?:line )?(?:\d+: )?(?:\d+ )?Bus error",
        r"Fatal Python error: Bus error",
        r"\bSIGBUS\b",
    ),
    signals=(7,),
)
SPACE: Final = UsualDeath(
    kind="disk_full",
    what="no space was left on the disk, or in /dev/shm, which has 64 MB",
    cure="If it writes to /dev/shm (DataLoader workers, Triton's Python backend, joblib), let it "
    "use less of it: SageMaker has no setting for more. Otherwise let it write less: pip "
    "installs and downloads belong into the image; on this machine, `docker system df` shows "
    "what takes the disk.",
    signs=(r"No space left on device|\bENOSPC\b|Errno 28\b|[Dd]isk quota exceeded",),
)
SHM_LIKELY: Final = UsualDeath(
    kind="shm_full",
    what="no space was left where it wrote, and the disk has room: /dev/shm is full, which has "
    "64 MB on SageMaker, or /tmp",
    cure=SHM.cure,
)

_GPU_LIBS: Final = (
    r"lib(?:cuda|cudart|cublas|cublasLt|cudnn\w*|cufft|cufile|cupti|curand|cusolver|cusparse\w*"
    r"|nccl|nvinfer\w*|nvrtc\S*|nvToolsExt|nvidia-ml|nvonnxparser)\.so[.\d]*"
)
_NOT_LIB: Final = r"cannot open shared object file"

DEATHS: Final[tuple[UsualDeath, ...]] = (
    # --- how the entry point is called -----------------------------------------------------------
    CRLF,
    UNSEEN_INTERPRETER,
    UsualDeath(
        kind="no_run_bit",
        what="{path} may not be run: its run bit is missing",
        cure="Give it the bit: `RUN chmod +x {path}` in the Dockerfile, or `chmod +x` before the "
        "build.",
        signs=(
            r"exec: \"(?P<path>[^\"]+)\": permission denied",
            r"^exec (?P<path>\S+): permission denied",
            r"^(?:\S*/)?(?:ba|da|z)?sh: (?:line )?(?:\d+: )?(?P<path>/\S+): Permission denied",
            r"^env: '?(?P<path>[^':]+)'?: Permission denied",
        ),
    ),
    UsualDeath(
        kind="exec_format",
        what="a program of it is for another processor, or no program at all (exec format error)",
        cure="Build the image for SageMaker's processor (`docker buildx build --platform "
        "linux/amd64`; linux/arm64 for Graviton); a script has to begin with `#!`. To run "
        "another processor's image here, see `lab doctor`.",
        signs=(r"[Ee]xec format error", r"cannot execute binary file"),
    ),
    UsualDeath(
        kind="serve_not_found",
        what="there is no program called serve, and no entry point that takes the word",
        cure="SageMaker starts every container as `docker run IMAGE serve`: give the image an "
        "exec-form ENTRYPOINT, or a program named serve on its PATH; one that is there lacks its "
        "run bit (`RUN chmod +x`).",
        signs=(
            r"exec: \"(?:\S*/)?serve\": executable file not found",
            r"exec: \"(?:\S*/)?serve\": stat \S+: no such file",
        ),
    ),
    UsualDeath(
        kind="serve_argument",
        what="its entry point takes the word serve for something of its own",
        cure="SageMaker starts every container as `docker run IMAGE serve`: let the entry point "
        'ignore its arguments, as `ENTRYPOINT ["sh", "-c", "exec python app.py"]` does, or '
        "understand serve.",
        signs=(
            r"unrecognized arguments: serve\b",
            r"unexpected argument '?serve'?",
            r"[Nn]o such command '?serve'?",
            r"invalid choice: '?serve'?",
            r"can't open file '(?:\S*/)?serve'",
            r"[Cc]annot find module '(?:\S*/)?serve'",
            r"[Cc]annot open file '(?:\S*/)?serve'",
            r"(?:[Cc]ould not find or load main class|Unable to access jarfile) serve\b",
        ),
    ),
    UsualDeath(
        kind="program_not_found",
        what="the program {name} is not in the image, or not on its PATH",
        cure="Install {name} in the image, or call it by its whole path; where the file is there, "
        "its first line names an interpreter that is not, or its lines end in CRLF.",
        signs=(
            r"exec: \"(?P<name>[^\"]+)\": (?:executable file not found|stat \S+: no such file)",
            r"^(?:\S+: )?(?:line )?\d+: (?:exec: )?(?P<name>[^\s:]+): (?:command )?not found$",
            (
                r"^(?:\S*/)?(?:ba|da|z)?sh: (?:line )?(?:\d+: )?(?:exec: )?(?P<name>[^\s:]+): "
                r"(?:command )?not found$"
            ),
            r"^(?:env|exec): ['\"]?(?P<name>[^'\":\\]+)['\"]?: No such file or directory",
            r"can't find command '(?P<name>[^']+)'",
            r"spawn (?P<name>\S+) ENOENT",
            r"Cannot run program \"(?P<name>[^\"]+)\"",
        ),
    ),
    UsualDeath(
        kind="program_not_found",
        what="the program {name}, which it starts, is not in the image",
        cure="Install {name} in the image, or call it by its whole path.",
        signs=(r"No such file or directory: '(?P<name>[^']+)'",),
        within=r"(?<!_)subprocess\.py|_execute_child|os\.exec",
    ),
    # --- memory and disk -------------------------------------------------------------------------
    UsualDeath(
        kind="gpu_out_of_memory",
        what="the GPU's memory is used up",
        cure="Load less: one worker, a smaller batch, half precision; or take an instance with a "
        "larger GPU.",
        signs=(r"CUDA out of memory|CUDA_ERROR_OUT_OF_MEMORY|cuda\.OutOfMemoryError",),
    ),
    THREADS,
    UsualDeath(
        kind="out_of_memory",
        what="Java's heap is used up",
        cure="Let the heap grow with the container (-XX:MaxRAMPercentage=75), or give the "
        "container more memory.",
        signs=(
            r"java\.lang\.OutOfMemoryError.*",
            r"insufficient memory for the Java Runtime Environment",
            r"Could not reserve enough space for",
        ),
    ),
    UsualDeath(
        kind="out_of_memory",
        what="Node's heap is used up",
        cure="Let the heap grow (NODE_OPTIONS=--max-old-space-size=MB, below what the container "
        "has), or give the container more memory.",
        signs=(r"JavaScript heap out of memory",),
    ),
    UsualDeath(
        kind="out_of_memory",
        what="a worker was killed, most likely for want of memory",
        cure=KERNEL_OOM.cure,
        within=r"(?s)\A(?!.*WORKER TIMEOUT)",
        signs=(r"was sent SIGKILL!?.*", r"terminated by signal (?:9|SIGKILL)", r"^Killed$"),
    ),
    SHM,
    SPACE,
    BUS_ERROR,
    UsualDeath(
        kind="out_of_memory",
        what="it got no more memory",
        cure=KERNEL_OOM.cure,
        signs=(
            r"^(?:\S*\.)?(?:_Array)?MemoryError\b.*",
            r"std::bad_alloc",
            r"[Cc]annot allocate (?:vector|memory)",
            r"\bENOMEM\b",
            r"DefaultCPUAllocator: ",
            r"not enough memory: you tried to allocate",
            r"\bOut of memory: Kill",
        ),
    ),
    UsualDeath(
        kind="open_files",
        what="too many files or sockets are open",
        cure="Close what is opened for each request, keep fewer connections, or raise the limit "
        "in the entry point (`ulimit -n 65535`): SageMaker publishes none, and here it is the "
        "engine's. For torch's workers: set_sharing_strategy('file_system').",
        signs=(r"[Tt]oo many open files|\bEMFILE\b|Errno 24\b",),
    ),
    # --- processors and drivers ------------------------------------------------------------------
    UsualDeath(
        kind="illegal_instruction",
        what="a program of it uses instructions (AVX or the like) that this processor does not "
        "have",
        cure="Install a build for any processor (a wheel from PyPI rather than one compiled with "
        "-march=native), or choose an instance type whose processor has them. Under emulation "
        "this says nothing about SageMaker.",
        signs=(
            r"[Ii]llegal instruction",
            r"\bSIGILL\b",
            r"compiled to use \S+ instructions, but these aren't available",
            r"CPU does not support x86-64-v\d",
            r"baseline optimizations .*not supported|CPU dispatcher .*not supported",
        ),
        signals=(4,),
    ),
    UsualDeath(
        kind="cuda",
        what="the NVIDIA driver is too old for the image's CUDA",
        cure="Choose a newer InferenceAmiVersion for the endpoint (al2-ami-sagemaker-inference-"
        "gpu-3-1), or a build for an older CUDA.",
        signs=(
            r"CUDA driver version is insufficient",
            r"NVIDIA driver on your system is too old",
            r"unsatisfied condition: (?:cuda|driver)",
            r"forward compatibility was attempted on non supported HW",
        ),
    ),
    UsualDeath(
        kind="cuda",
        what="it wants a GPU, and there is none",
        cure="Let it fall back to the CPU (torch.device('cuda' if torch.cuda.is_available() else "
        "'cpu'), map_location='cpu'), or deploy it on an instance with a GPU: this machine and "
        "serverless have none.",
        signs=(
            r"libcuda\.so\.1: cannot open",
            r"Found no NVIDIA driver",
            r"[Nn]o CUDA(?:-capable device|\s?GPUs? (?:are|is) available)",
            r"Torch not compiled with CUDA enabled",
            r"Attempting to deserialize object on a CUDA device",
            r"Failed to initialize NVML|NVML Shared Library Not Found",
            r"could not select device driver",
            r"nvidia-container-cli: ",
            r"CUDA_ERROR_NO_DEVICE|CUDA error: ",
        ),
    ),
    UsualDeath(
        kind="cuda",
        what="CUDA's library {lib} is not in the image, or is one of another version",
        cure="Install the build for the CPU (torch from download.pytorch.org/whl/cpu, onnxruntime "
        "instead of onnxruntime-gpu), or start from an image with the CUDA version that it was "
        "built for.",
        signs=(rf"(?P<lib>{_GPU_LIBS}): {_NOT_LIB}",),
    ),
    UsualDeath(
        kind="libc_too_old",
        what="the image's C or C++ library is too old: {name} is missing",
        cure="Start from a newer distribution (Debian 12 has glibc 2.36), or build on the one "
        "that the image has; a wheel has to be one for manylinux.",
        signs=(
            r"version [`'](?P<name>(?:GLIBC|GLIBCXX|CXXABI|GOMP)_[\d.]+)' not found",
            r"Error relocating .*: (?P<name>\S+): symbol not found",
        ),
    ),
    UsualDeath(
        kind="missing_library",
        what="the shared library {lib} is not in the image",
        cure="{debian}",
        signs=(
            rf"(?P<lib>lib[\w.+-]+\.so[.\d]*): {_NOT_LIB}",
            r"Error loading shared library (?P<lib>[\w.+-]+)",
            r"[Uu]nable to load (?:shared )?library '(?P<lib>[^']+)'",
        ),
    ),
    # --- modules ---------------------------------------------------------------------------------
    UsualDeath(
        kind="missing_module",
        what="the Python module {name} is not in the image",
        cure="Install it (`RUN pip install {package}`, pinned in its requirements), with the "
        f"Python that runs the server; {_OWN}.",
        signs=(
            r"ModuleNotFoundError: No module named '(?P<name>[^']+)'",
            r"ImportError: No module named '?(?P<name>[\w.]+)'?",
            (
                r"(?:Error while finding module specification|No module named) "
                r"(?:for )?'?(?P<name>[\w.]+)'?"
            ),
            r"Could not import module \"(?P<name>[^\"]+)\"",
            r"Could not import '(?P<name>[^']+)'",
        ),
    ),
    UsualDeath(
        kind="wrong_app",
        what="the server does not find the application that it is told to serve",
        cure="Name module and variable as they are (`gunicorn app:app` is app in app.py), and "
        "start it in the folder that holds the module (WORKDIR, --chdir, --app-dir).",
        signs=(
            r"Failed to find (?:attribute|application object) '[^']+' in '[^']+'",
            r"Attribute \"[^\"]+\" not found in module",
            r"Error loading ASGI app\.",
        ),
    ),
    UsualDeath(
        kind="versions",
        what="two of its packages do not fit together",
        cure="Pin versions that fit: the ones with which the model was made and tried "
        "(`pip freeze` there, a lock file here).",
        signs=(
            r"ImportError: cannot import name .*",
            r"compiled using NumPy 1\.x cannot be run in",
            r"numpy\.\w+ size changed, may indicate binary incompatibility",
            r"undefined symbol: \S+",
            r"NoSuchMethodError|UnsupportedClassVersionError|AbstractMethodError",
            r"NODE_MODULE_VERSION|was compiled against a different Node\.js version",
            r"incompatible (?:dtype|pickle|format).*",
            r"unsupported pickle protocol",
            r"namespace .\S+. \S+ is (?:already )?(?:being )?loaded, but .* is required",
        ),
    ),
    UsualDeath(
        kind="pickle",
        what="the model was pickled with a class of the training script",
        cure="Put the class into a module that training and server both import, and pickle the "
        "model again.",
        signs=(r"Can't get attribute '[^']+' on <module .*",),
    ),
    UsualDeath(
        kind="missing_file",
        what="Node does not find its own file {name}",
        cure="Copy it into the image, and start Node in the folder that the path is relative to "
        "(WORKDIR); look at .dockerignore.",
        signs=(r"Cannot find module '(?P<name>[./][^']*)'",),
    ),
    UsualDeath(
        kind="missing_module",
        what="the Node package {name} is not in the image",
        cure="Install it in the image: `RUN npm ci --omit=dev` beside its package.json, which has "
        "to name {name} under dependencies.",
        signs=(r"Cannot find (?:module|package) '(?P<name>[^']+)'",),
    ),
    UsualDeath(
        kind="missing_module",
        what="the R package {name} is not in the image",
        cure="Install it in the image: `RUN Rscript -e \"install.packages('{name}')\"`, or "
        "Debian's r-cran-{lower}; check that the build fails when it does not install.",
        signs=(r"there is no package called .(?P<name>[\w.]+)",),
    ),
    UsualDeath(
        kind="missing_module",
        what="the Java class {name} is not on the class path",
        cure="Put its jar into the image and on the class path (a jar with all dependencies: "
        "Maven's shade, Spring Boot's repackage, Gradle's shadow).",
        signs=(
            r"(?:ClassNotFoundException|NoClassDefFoundError): (?P<name>[\w./$]+)",
            r"Could not find or load main class (?P<name>\S+)",
            r"Unable to access jarfile (?P<name>\S+)",
            r"no main manifest attribute, in (?P<name>\S+)",
        ),
    ),
    UsualDeath(
        kind="missing_module",
        what="the Ruby library {name} is not in the image",
        cure="Install it in the image: `RUN bundle install` with {name} in the Gemfile.",
        signs=(r"cannot load such file -- (?P<name>\S+)",),
    ),
    # --- the network -----------------------------------------------------------------------------
    UsualDeath(
        kind="port_in_use",
        what="another process in the container has its port already",
        cure="Start one server only on port 8080: one behind NGINX listens on a socket or another "
        "port, and what is started again has to wait until the first has ended.",
        signs=(
            (
                r"[Aa]ddress already in use|\bEADDRINUSE\b|[Ff]ailed to create server"
                r"|[Pp]ort \d+ (?:was|is) already in use|errno 98\b"
            ),
        ),
    ),
    UsualDeath(
        kind="no_network",
        what="it asks for an address that cannot be reached from here",
        cure="Put what it fetches into the image or into model.tar.gz, and tell the library to "
        "stay offline (HF_HUB_OFFLINE=1, TRANSFORMERS_OFFLINE=1): an endpoint may have no "
        "network, and what it fetches is fetched again at every start.",
        signs=(
            (
                r"Temporary failure in name resolution|Name or service not known"
                r"|NameResolutionError"
                r"|getaddrinfo|\bENOTFOUND\b|\bEAI_AGAIN\b|UnknownHostException|gaierror"
                r"|[Cc]ould ?n[o']t resolve host|host not found in upstream"
                r"|[Nn]etwork is unreachable|\bENETUNREACH\b|No address associated with hostname"
                r"|couldn't connect to '?https?://|dial tcp: lookup "
            ),
        ),
    ),
    # --- files -----------------------------------------------------------------------------------
    *(
        UsualDeath(
            kind=kind,
            what=f"NGINX may not write {{path}}: {why}",
            cure="Let NGINX write to /tmp only, in nginx.conf: `pid /tmp/nginx.pid;`, in its http "
            "block `client_body_temp_path /tmp/body; proxy_temp_path /tmp/proxy; "
            "fastcgi_temp_path /tmp/fastcgi; uwsgi_temp_path /tmp/uwsgi; "
            "scgi_temp_path /tmp/scgi;`, and its logs to /dev/stdout and /dev/stderr.",
            signs=(
                rf"\[(?:emerg|alert)\].*(?:mkdir|open)\(\) \"(?P<path>[^\"]+)\" failed \({errno}:",
            ),
        )
        for kind, why, errno in (
            ("permission_denied", "it does not run as root", 13),
            ("read_only", "all but /tmp is read-only", 30),
        )
    ),
    UsualDeath(
        kind="read_only",
        what="it writes where nothing can be written",
        cure="Let it write to /tmp only: on SageMaker /opt/ml/model is read-only, and all but "
        "/tmp in a serverless container (caches: HOME, HF_HOME, MPLCONFIGDIR, NUMBA_CACHE_DIR; "
        "NGINX's pid and client_body_temp_path).",
        signs=(r"[Rr]ead-only file system|\bEROFS\b|ReadOnlyFileSystemException",),
    ),
    UsualDeath(
        kind="permission_denied",
        what="only root may listen on that port, or switch to another user",
        cure="Listen on 8080, and start as the user that is to serve: in a serverless container "
        "nothing runs as root (no `user` in nginx.conf, no su or gosu).",
        signs=(
            r"bind\(\) to \S+ failed \(13: .*",
            r"(?:setuid|setgid|setgroups|initgroups|chown)\b.*Operation not permitted.*",
        ),
    ),
    UsualDeath(
        kind="permission_denied",
        what="the user that it runs as may not use {path}",
        cure="Make it usable for any user (`RUN chmod -R a+rX {path}`), and let the server write "
        "to /tmp only: serverless containers do not run as root.",
        signs=(
            r"Permission denied: '(?P<path>[^']+)'",
            r"permission denied, \w+ '(?P<path>[^']+)'",
            r"AccessDeniedException: (?P<path>\S+)",
            (
                r"(?:open|read|create|access|cd|mkdir|to)\b.{0,20}?['\"]?(?P<path>/[^\s'\":()]+)"
                r"['\"]?.{0,12}[Pp]ermission denied"
            ),
            r"['\" ](?P<path>/[^\s'\":()]+)['\"]?: [Pp]ermission denied",
            r"(?P<path>/[^\s'\":()]+)['\"]?(?:: | \().{0,12}[Pp]ermission denied",
        ),
    ),
    UsualDeath(
        kind="permission_denied",
        what="the user that it runs as may not do what it tries",
        cure="Make what it reads readable for any user (`RUN chmod -R a+rX ...`), and let it write "
        "to /tmp only: serverless containers do not run as root.",
        signs=(r"[Pp]ermission denied|\bEACCES\b|\bEPERM\b|Operation not permitted|Errno 13\b",),
    ),
    MODEL_FILE,
    UsualDeath(
        kind="missing_file",
        what="the file {path} is not in the container",
        cure="Copy it into the image, or look for it where it is: a relative path is taken from "
        "WORKDIR, and the model's files are in /opt/ml/model (SM_MODEL_DIR is not set on "
        "endpoints).",
        signs=(
            r"No such file or directory: '(?P<path>[^']+)'",
            r"no such file or directory, \w+ '(?P<path>[^']+)'",
            r"(?:NoSuchFileException|FileNotFoundException): (?P<path>[^\s(]+)",
            r"can't open file '(?P<path>[^']+)'",
            r"[Cc]annot open (?:compressed )?file '(?P<path>[^']+)'.*No such file",
            (
                r"(?P<path>/[^\s'\":()]+)['\"]?(?:: | \(| failed \(2: )"
                r".{0,12}[Nn]o such file or directory"
            ),
            r"open\(\) \"(?P<path>[^\"]+)\" failed \(2: ",
        ),
    ),
    # --- what may follow from another cause ------------------------------------------------------
    UsualDeath(
        kind="worker_timeout",
        what="a worker took longer than its master waits, and was killed",
        cure="Let the master wait longer (gunicorn --timeout 120; default_response_timeout of "
        "Multi Model Server) or load before the fork (--preload): a worker that loads its model "
        "answers nothing meanwhile.",
        signs=(r"WORKER TIMEOUT.*", r"Backend worker did not respond in given time"),
    ),
    UsualDeath(
        kind="segfault",
        what="it crashed with a segmentation fault",
        cure="Look at what was loaded last: a library built for other versions of its neighbours "
        "or another processor; PYTHONFAULTHANDLER=1 makes Python say where. Under emulation "
        "this may be QEMU's.",
        signs=(r"[Ss]egmentation fault", r"\bSIGSEGV\b"),
        signals=(11,),
    ),
    UsualDeath(
        kind="worker_died",
        what="its workers die behind their master, which lives on",
        cure="Run one worker in the foreground to see why it dies: `docker run --rm -it "
        "--entrypoint sh IMAGE`, then the worker's own command without the master (`python -c "
        "'import app'`, `uvicorn app:app` without --workers).",
        signs=(
            r"Worker failed to boot",
            r"Child process \[\d+\] (?:died|failed to start)",
            r"[Bb]ackend worker (?:process )?(?:died|error|exited)",
            r"Worker (?:disconnected|exited|died)",
            r"worker process \d+ exited (?:on signal|with (?:fatal )?(?:code|code [1-9]))",
            r"[Ww]orker \S+ (?:died|exited|terminated)",
            r"exited: \S+ \(.*not expected\)",
            r"entered FATAL state",
        ),
        weak=True,
    ),
    UsualDeath(
        kind="arithmetic",
        what="it crashed with an arithmetic error (SIGFPE): a whole number was divided by zero",
        cure="Look at what was loaded last, most often native code that meets an empty input or a "
        "number of processors of 0; PYTHONFAULTHANDLER=1 makes Python say where.",
        signs=(r"[Ff]loating point exception", r"\bSIGFPE\b"),
        signals=(8,),
    ),
    UsualDeath(
        kind="bad_call",
        what="it made a system call that containers may not make (SIGSYS)",
        cure="Let it do without: sandboxes, io_uring and tracing are closed in a container, as "
        "they are on SageMaker.",
        signs=(r"[Bb]ad system call", r"\bSIGSYS\b"),
        signals=(31,),
    ),
    UsualDeath(
        kind="abort",
        what="it aborted itself (SIGABRT): a library gave up, most often over an error that its "
        "log shows or for want of memory",
        cure="Look at the last lines of its log, where what aborted says why; "
        "PYTHONFAULTHANDLER=1 makes Python say where.",
        signals=(6,),
        weak=True,
    ),
    UsualDeath(
        kind="killed",
        what="it was killed, and the engine does not say that it was for want of memory",
        cure="See whether something in the container kills it, or whether the machine was short "
        "of memory (`dmesg | grep -i oom`).",
        signals=(9,),
        weak=True,
    ),
    UsualDeath(
        kind="stopped",
        what="it was told to stop (SIGTERM) from inside the container or by another program",
        cure="See who stops it: an entry point that ends its children when one of them ends, or "
        "a program that tidies up containers on this machine.",
        signals=(15,),
        weak=True,
    ),
    UsualDeath(
        kind="no_run_bit",
        what="its entry point could not be run",
        cure="Give it the run bit (`RUN chmod +x ...`), and a first line that names its "
        "interpreter.",
        codes=(126,),
        weak=True,
    ),
    UsualDeath(
        kind="program_not_found",
        what="a program that its entry point calls is not in the image",
        cure="Install it, or call it by its whole path.",
        codes=(127,),
        weak=True,
    ),
)

PACKAGES: Final[Mapping[str, str]] = {
    "PIL": "pillow",
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "dotenv": "python-dotenv",
    "fitz": "pymupdf",
    "google.protobuf": "protobuf",
    "jwt": "pyjwt",
    "magic": "python-magic",
    "multipart": "python-multipart",
    "onnxruntime": "onnxruntime",
    "pkg_resources": "'setuptools<81'",
    "sagemaker_inference": "sagemaker-inference",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "tensorflow_hub": "tensorflow-hub",
    "yaml": "pyyaml",
    "zmq": "pyzmq",
}
"""Python modules whose package has another name."""

LIBRARIES: Final[Mapping[str, str]] = {
    "libEGL": "libegl1",
    "libGL": "libgl1",
    "libGLESv2": "libgles2",
    "libSM": "libsm6",
    "libX11": "libx11-6",
    "libXext": "libxext6",
    "libXrender": "libxrender1",
    "libarchive": "libarchive13",
    "libblas": "libblas3",
    "libcairo": "libcairo2",
    "libcurl": "libcurl4",
    "libffi": "libffi8",
    "libfontconfig": "libfontconfig1",
    "libfreetype": "libfreetype6",
    "libgcc_s": "libgcc-s1",
    "libgdal": "libgdal-dev",
    "libgeos_c": "libgeos-c1v5",
    "libgfortran": "libgfortran5",
    "libglib-2.0": "libglib2.0-0",
    "libgobject-2.0": "libglib2.0-0",
    "libgomp": "libgomp1",
    "libgthread-2.0": "libglib2.0-0",
    "libjvm": "default-jre-headless",
    "liblapack": "liblapack3",
    "libmagic": "libmagic1",
    "libmariadb": "libmariadb3",
    "libmysqlclient": "libmariadb-dev-compat",
    "libnuma": "libnuma1",
    "libodbc": "libodbc2",
    "libopenblas": "libopenblas0",
    "libpango-1.0": "libpango-1.0-0",
    "libpangocairo-1.0": "libpangocairo-1.0-0",
    "libpng16": "libpng16-16",
    "libpq": "libpq5",
    "libsndfile": "libsndfile1",
    "libsodium": "libsodium23",
    "libsqlite3": "libsqlite3-0",
    "libssl": "libssl3",
    "libstdc++": "libstdc++6",
    "libtbb": "libtbb12",
    "libtesseract": "tesseract-ocr",
    "libtiff": "libtiff6",
    "libturbojpeg": "libturbojpeg0",
    "libxcb": "libxcb1",
    "libxml2": "libxml2",
    "libxslt": "libxslt1.1",
    "libz": "zlib1g",
    "libzmq": "libzmq5",
}
"""Debian's packages of shared libraries that images often lack."""

IN_THE_IMAGE: Final = frozenset(
    {
        "crlf",
        "exec_format",
        "illegal_instruction",
        "libc_too_old",
        "missing_library",
        "missing_module",
        "no_interpreter",
        "no_run_bit",
        "program_not_found",
        "serve_argument",
        "serve_not_found",
        "wrong_app",
    }
)
"""Kinds that no further start of the same container can mend."""
