# R as SageMaker hosts it. The lines with marks give the lab its phases.
now <- function() as.numeric(Sys.time()) * 1e9
marks <- c(interpreter = now())

invisible(lapply(c("httpuv", "jsonlite"), loadNamespace))
marks["imports"] <- now()

file <- "/opt/ml/model/model.json"
model <- if (file.exists(file)) jsonlite::fromJSON(file) else list(weights = rep(1, 4), bias = 0)
marks["model_loaded"] <- now()

predict <- function(body) {
  rows <- jsonlite::fromJSON(body)$instances
  stopifnot(is.matrix(rows), is.numeric(rows), ncol(rows) == length(model$weights))
  as.vector(rows %*% model$weights) + model$bias
}
invisible(predict('{"instances": [[0, 0, 0, 0]]}')) # so that the first request finds all warm
marks["warmed_up"] <- now()
since_boot <- as.numeric(strsplit(sub(".*\\) ", "", readLines("/proc/1/stat")), " ")[[1]][20]) / 100
up <- scan("/proc/uptime", n = 1, quiet = TRUE)
marks["process"] <- now() + (since_boot - up) * 1e9
cat(sprintf('{"lab_startup": {"schema": 1, "marks": {%s}}}\n',
            paste0('"', names(marks), '": ', sprintf("%.0f", marks), collapse = ", ")))
flush(stdout()) # into a pipe, R would keep it back

answer <- function(status, content = NULL) {
  list(status = status, headers = list("Content-Type" = "application/json"),
       body = if (is.null(content)) "" else jsonlite::toJSON(content, auto_unbox = TRUE, digits = NA))
}
call <- function(request) {
  asked <- paste(request$REQUEST_METHOD, request$PATH_INFO)
  if (asked == "GET /ping") return(answer(200L))
  if (asked != "POST /invocations") return(answer(404L))
  if (!grepl("^application/json\\b", request$HTTP_CONTENT_TYPE))
    return(answer(415L, list(error = "application/json is what this model reads")))
  tryCatch(
    answer(200L, list(predictions = I(predict(rawToChar(request$rook.input$read()))))),
    error = function(error) answer(400L, list(error = conditionMessage(error)))
  )
}

port <- as.integer(Sys.getenv("SAGEMAKER_BIND_TO_PORT", "8080"))
server <- httpuv::startServer("0.0.0.0", port, list(call = call))

# What arrived before SIGTERM, and in the second after it, stands in R's queue before the line that
# ends the second loop.
while (!file.exists("/tmp/stop")) httpuv::service(100)
done <- FALSE
later::later(function() done <<- TRUE, 1)
while (!done) httpuv::service(100)
Sys.sleep(0.1) # the last answer is sent by another thread
